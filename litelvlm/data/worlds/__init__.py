"""Procedural worlds: images that are drawn, with exact masks and unambiguous expressions."""
