"""Figures that look at groups of expressions: strata and categories."""
