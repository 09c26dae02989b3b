"""The miniature LLaVA: a shared CLIP, a projector and a small LLaMA that answers questions."""
