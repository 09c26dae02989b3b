"""Studies of why a reversed CLIP ranking works, how well pruned grounding does, and how sure each number is."""
