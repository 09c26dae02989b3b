"""What is read off a model: attention, gradients and the effect of removal."""
