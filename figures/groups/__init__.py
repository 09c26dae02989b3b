"""Figures that look at groups of expressions: strata, categories, positions."""
