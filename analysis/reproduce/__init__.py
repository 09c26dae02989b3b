"""The published tables again, on the published weights: fetch, convert, check, run, compare."""
