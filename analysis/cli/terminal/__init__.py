"""What the verbs share of the terminal: tables, progress, and what the machine has."""
