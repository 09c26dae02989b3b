"""What the language model's prediction depends on: attention, gradients and removal."""
