"""Studies of why a reversed CLIP ranking works, how well pruned grounding does, and how sure each number is."""

if __name__ != "litelvlm.analysis":
    raise ImportError(
        f"the folder analysis/ was imported as {__name__!r}; import litelvlm.analysis instead"
    )
