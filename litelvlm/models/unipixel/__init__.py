"""UniPixel: Qwen2.5-VL that answers with masks of SAM2.1, in images and clips."""
