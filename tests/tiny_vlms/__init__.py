"""Tiny random models of every supported family of transformers, and stand-ins for hub ids."""
