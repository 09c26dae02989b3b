"""Questions about rendered scenes, with answers that follow from the scenes."""
