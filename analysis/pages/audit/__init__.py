"""Paper against code: statements of papers, what released code does, and measured differences."""
