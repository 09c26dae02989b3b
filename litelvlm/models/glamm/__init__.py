"""The staged GLaMM: tower, selection, projector, LLaMA loop, [SEG], mask decoder."""
