"""The explorer: tokens, scores, masks and text attention of a sweep on one offline page."""
