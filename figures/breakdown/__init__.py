"""Figures that break the accuracy of a sweep down: by group of expressions, by positions."""
