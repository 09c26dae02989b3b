"""Where rows come from: code, weights, versions, machine and settings."""
