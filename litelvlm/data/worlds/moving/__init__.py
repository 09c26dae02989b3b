"""Clips of pictograms that move, hide each other, enter and leave."""
