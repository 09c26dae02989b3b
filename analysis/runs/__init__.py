"""How a study runs: configuration, engine, run folders, records, claims and verdicts."""
