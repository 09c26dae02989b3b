"""Methods from outside this package: where they are defined, and what their code is."""
