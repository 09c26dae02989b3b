"""From expressions to token ids: templates, conversations, the tokenizer, the ranking text."""
