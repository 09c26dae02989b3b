"""Vision-language models of transformers in the table of model families."""

from litelvlm.models.family import ModelFamily, ModelRequest
from litelvlm.models.vlm.answering.load import EMBEDDED
from litelvlm.models.vlm.studied.load import PREFIX, load_vlm
from litelvlm.models.vlm.studied.model import Vlm


def load(request: ModelRequest) -> Vlm:
    """Load the vision-language model that a request names.

    Raises:
        ValueError: As ``load_vlm``.
        FileNotFoundError: As ``load_vlm``.
    """
    return load_vlm(
        request.name,
        clip=request.clip,
        dtype=request.dtype,
        device=request.device,
        attn=request.attn,
        random_init=request.random_init,
    )


def is_large(name: str) -> bool:
    """Whether a name stands for something else than the miniature."""
    return name.removeprefix(PREFIX) not in EMBEDDED


VLM = ModelFamily(
    name="vlm",
    prefix=PREFIX,
    model=Vlm,
    load=load,
    takes=("attn", "clip", "random_init"),
    large=is_large,
)
"""Names that begin with "vlm:"."""
