"""LLaMA's decoder, layer by layer: token dropping, calibration and decoding."""
