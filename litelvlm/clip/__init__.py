"""CLIP towers and the geometry of what their crop shows."""
