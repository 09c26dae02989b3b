"""Inside the language model: layers as methods see them, and tokens dropped between layers."""
