"""Many passes over one image at once, with all that they share computed once."""
