"""Figures that show pictures: masks, maps and kept tokens of a few expressions."""
