"""How the bundled models, and the small CLIPs of a study, are trained. Loading needs none of it."""
