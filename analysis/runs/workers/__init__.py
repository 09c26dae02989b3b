"""Other processes that compute parts of a run, on this machine or on a cluster."""
