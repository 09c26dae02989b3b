"""Fine-tuning of a GLaMM that reads pruned tokens, as the official script fine-tunes one."""
