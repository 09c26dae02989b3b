"""The model families, each with its loader."""

from types import MappingProxyType

from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.vlm.studied.load import load_vlm

__all__ = ["FAMILIES", "load_model", "load_vlm"]

FAMILIES = MappingProxyType({Glamm.family: load_model, "vlm": load_vlm})
"""Loader of each family: ``litelvlm.load_model`` for referring segmentation, ``litelvlm.load_vlm``
for vision-language models of transformers that answer in words."""
