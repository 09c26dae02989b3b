"""The model families: one entry for each, which the command line loads models by."""

from collections.abc import Mapping
from types import MappingProxyType

from litelvlm.models.family import ModelFamily
from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.entry import GLAMM
from litelvlm.models.vlm.load import VLM, load_vlm

__all__ = ["FAMILIES", "family_for", "load_model", "load_vlm"]

FAMILIES: Mapping[str, ModelFamily] = MappingProxyType(
    {
        GLAMM.name: GLAMM,
        VLM.name: VLM,
    }
)
"""Every family by its name. From Python, ``litelvlm.load_model`` and ``litelvlm.load_vlm`` load
models of one family each."""


def family_for(name: str) -> ModelFamily:
    """The family of a model's name: the one with the longest prefix that the name begins with.

    Example:
        >>> family_for("embedded").name, family_for("vlm:embedded").name
        ('glamm', 'vlm')
    """
    fitting = [family for family in FAMILIES.values() if name.startswith(family.prefix)]
    return max(fitting, key=lambda family: len(family.prefix))
