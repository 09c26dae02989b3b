"""Datasets: the RefCOCO family read safely, and procedural scenes in the same layout."""
