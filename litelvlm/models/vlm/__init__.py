"""Any transformers vision-language model with fewer visual tokens: ``prune`` and families."""
