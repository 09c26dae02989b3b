"""VideoGLaMM: two towers that read a clip, Phi-3, and SAM2."""
