"""A trained language side as a model of transformers."""

from transformers import LlavaConfig, LlavaForConditionalGeneration

from litelvlm.clip.hf import ClipTower
from litelvlm.models.vlm.miniature import assemble
from litelvlm.training.llava.sizes import LanguageSide


def as_llava(
    side: LanguageSide, config: LlavaConfig, tower: ClipTower
) -> LlavaForConditionalGeneration:
    """The model of transformers with these weights and CLIP's image tower."""
    first, second = side.projector[0], side.projector[2]
    state = {
        f"model.multi_modal_projector.linear_{place}.{name}": value
        for place, linear in ((1, first), (2, second))
        for name, value in linear.state_dict().items()
    }
    for name, value in side.llama.state_dict().items():
        head, _, rest = name.partition(".")
        state[f"model.language_model.{rest}" if head == "model" else name] = value
    return assemble(config, state, tower)
