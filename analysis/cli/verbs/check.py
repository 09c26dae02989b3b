"""`litelvlm check`: look for everything that a study needs."""

from __future__ import annotations

from dataclasses import dataclass

from litelvlm.analysis.cli.options import DataOptions, Printing


@dataclass(frozen=True, kw_only=True)
class Check(DataOptions, Printing):
    """Check packages, device, model and data; name what is missing and how to get it.

    Examples:
      litelvlm check
      litelvlm check --model path/to/GLaMM --data path/to/Refer_Segm --dataset refcoco --split val
      litelvlm check --data path/to/Refer_Segm --every-image
    """

    every_image: bool = False
    """Read every picture and mask of the split, not only some that are spread over it."""
