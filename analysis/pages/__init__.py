"""Pages for people: report, explorer, demo and tables of all methods."""
