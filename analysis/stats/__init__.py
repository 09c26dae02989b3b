"""Statistics: arrays in, estimates with intervals out."""
