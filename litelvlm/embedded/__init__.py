"""The bundled models: weights, cards, and the sizes by which they are recognised."""
