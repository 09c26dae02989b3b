"""GLaMM's files: where they are, what they hold, and how they become weights."""
