"""LoRA weights merged into the weights that they change."""
