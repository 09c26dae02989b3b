"""The report: the story of several runs, their verdicts, figures, tables and records."""
