"""`python -m litelvlm`: the same command line as `litelvlm` and `python -m litelvlm.analysis`.

The library imports nothing of the rooms above it, so this file names theirs as a text.
"""

from runpy import run_module

if __name__ == "__main__":
    run_module("litelvlm.analysis", run_name="__main__", alter_sys=True)
