"""Rendered worlds: scenes with exact masks and unambiguous referring expressions."""
