"""Studies: why a reversed CLIP ranking works, what pruning keeps, and how sure each number is."""

if __name__ != "litelvlm.analysis":
    raise ImportError(
        f"the folder analysis/ was imported as {__name__!r}; import litelvlm.analysis instead"
    )
