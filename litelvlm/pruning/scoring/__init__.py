"""Scores that several methods and studies rank tokens by."""
