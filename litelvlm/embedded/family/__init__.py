"""A family of small CLIPs that differ in one training condition at a time."""
