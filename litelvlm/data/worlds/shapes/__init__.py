"""The world of coloured shapes on a noisy ground."""
