"""The world of pictograms: emoji of COCO categories on named places."""
