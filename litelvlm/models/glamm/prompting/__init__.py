"""From expressions to token ids: templates, conversations, tokenizer, places, ranking text."""
