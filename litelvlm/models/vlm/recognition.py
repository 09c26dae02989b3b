"""Find the family of a loaded model, or say why it is not supported."""

import inspect

import transformers
from transformers import PreTrainedModel

from litelvlm.models.vlm.families import VLM_FAMILIES, VlmFamily

FIRST_RELEASE = (5, 19)
"""First release of transformers whose models take features that were computed before."""


def release(version: str) -> tuple[int, int]:
    """Major and minor number of a version.

    Example:
        >>> release("5.23.0")
        (5, 23)
    """
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def family_of(model: PreTrainedModel) -> VlmFamily:
    """Find the family of a model.

    Raises:
        ValueError: If it is not supported, or transformers is too old; the message says which, and
            what to do.
    """
    cls, kind = type(model).__name__, model.config.model_type
    if release(transformers.__version__) < FIRST_RELEASE:
        needed = ".".join(map(str, FIRST_RELEASE))
        raise ValueError(
            f"transformers {transformers.__version__} is too old for prune(): its models do not "
            f"accept encoded images; run: pip install 'transformers>={needed}' (the rest of "
            "litelvlm works with the installed release)"
        )
    if kind not in VLM_FAMILIES:
        raise ValueError(
            f"{cls} (model_type {kind!r}) is not supported by prune(); families are "
            f"{', '.join(VLM_FAMILIES)}; see litelvlm/models/vlm/families.py to add one"
        )
    if not model.can_generate():
        raise ValueError(
            f"{cls} has no head that generates; load the class with one, as "
            "AutoModelForImageTextToText.from_pretrained(...) does"
        )
    if "mm_encoder_outputs" not in inspect.signature(model.forward).parameters:
        raise ValueError(
            f"{cls} of transformers {transformers.__version__} does not accept encoded "
            "images (mm_encoder_outputs); update transformers"
        )
    return VLM_FAMILIES[kind]
