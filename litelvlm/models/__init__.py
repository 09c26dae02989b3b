"""Models that answer a question about an image: one folder for each family."""
