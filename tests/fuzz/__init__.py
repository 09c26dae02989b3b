"""Properties that hold for any input: strategies and checks, shared by tests and a long run."""
