"""Vision-language models of transformers as studies ask them: questions, targets, scores."""
