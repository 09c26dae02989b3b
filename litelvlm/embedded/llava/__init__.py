"""The miniature LLaVA: the miniature's CLIP, a projector and a small LLaMA that answers questions."""
