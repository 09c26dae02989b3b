"""How the patches of a tower make the tokens of a language model."""

from typing import Literal

Patches = Literal["one", "blocks", "groups", "unknown"]
"""Patches of a token: one; a square of the grid; as many that follow each other; not known."""
