"""The model families, each with its loader."""

from types import MappingProxyType

from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.model import Glamm

__all__ = ["FAMILIES", "load_model"]

FAMILIES = MappingProxyType({Glamm.family: load_model})
"""Loader of each family; ``litelvlm.load_model`` is the one for referring segmentation."""
