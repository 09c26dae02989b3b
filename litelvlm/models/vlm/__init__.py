"""Any transformers vision-language model with fewer visual tokens: ``prune``, families, tiny."""
