"""GLaMM in the table of model families."""

from litelvlm.models.family import ModelFamily, ModelRequest
from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.options import GlammOptions


def load(request: ModelRequest) -> Glamm:
    """Load the GLaMM that a request names.

    Raises:
        ValueError: As ``load_model``, or if an option is unknown.
        FileNotFoundError: As ``load_model``.
    """
    return load_model(
        request.name,
        dtype=request.dtype,
        device=request.device,
        attn=request.attn,
        random_init=request.random_init,
        options=GlammOptions.parse(request.options),
        clip=request.clip,
        quantise=request.quantise,
    )


GLAMM = ModelFamily(
    name=Glamm.family,
    prefix="",
    model=Glamm,
    load=load,
    takes=("attn", "clip", "random_init", "quantise", "options"),
)
"""Names without a prefix; transformers reads nothing but CLIP, in a second, so none is large."""
