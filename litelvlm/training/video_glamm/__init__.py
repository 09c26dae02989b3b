"""The miniature of the VideoGLaMM kind and its training."""
