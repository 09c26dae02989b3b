"""Tiny random models of the supported families, to try the front door without a download."""
