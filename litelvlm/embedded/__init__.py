"""The shipped miniature GLaMM: its sizes, how it was trained, and its weights."""
