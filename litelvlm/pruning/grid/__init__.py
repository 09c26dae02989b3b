"""The token grid of an image: evenly spaced cells, boxes, and parts that share a budget."""
