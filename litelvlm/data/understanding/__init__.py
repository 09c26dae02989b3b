"""Questions about images with short answers: readers of the public files, and rendered ones."""
