"""What the image tower of any family tells about its tokens: attention, keys and values."""
