"""How the patches of a tower make the tokens of a language model.

Apart from what reads towers, so that the table of families loads no class of a model.
"""

from typing import Literal

Patches = Literal["one", "blocks", "groups", "unknown"]
"""Patches of a token: one; a square of the grid; as many that follow each other; not known."""
