"""What a method may read of a UniPixel about one clip and one conversation.

The model has no text tower. Its substitutes are scores of their own names.
"""

from collections.abc import Callable, Mapping

from jaxtyping import Float, Int
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from litelvlm.models.unipixel.state import UniPixelState
from litelvlm.models.vlm_base.text import TextBehind
from litelvlm.pruning import CUES, Cues
from litelvlm.pruning.grid import box_cells

OF_TOWER = (
    *("received_attention", "tower_value_norm", "cls_attention", "keys_mean", "key_norm"),
    *("keys", "values"),
)
"""Cues of the image tower's last block, which attends to whole frames. ``cls_attention`` is
``received_attention``, as VisPruner's author answers for towers without CLS."""
OFFERED = frozenset(
    {
        *OF_TOWER,
        *("projected", "patch_tokens", "input_similarity", "rotary_cosine", "rotary_sine"),
        *("coverage", "box"),
    }
)
LACKS = frozenset(CUES) - OFFERED
SUBSTITUTES = ("input_similarity", "received_attention", "tower_value_norm")
"""Methods in place of those that rank by CLIP's text; ``reverse`` ranks each the other way."""


def clip_cues(
    qwen: Qwen2_5_VLForConditionalGeneration,
    state: UniPixelState,
    ids: Int[Tensor, "s"],
    positions: Int[Tensor, "3 s"],
    start: int,
    coverage: Float[Tensor, "*n"] | None,
    key: int,
) -> Cues:
    """Every cue, computed when a method reads it.

    Args:
        qwen: The model.
        state: The encoded clip.
        ids: Of the first question's prompt, with all placeholders.
        positions: Of the same.
        start: Index of the first placeholder.
        coverage: Share of each token's cell that the true mask covers.
        key: Identity of the clip.
    """
    layout, tokens, count = state.view.layout, state.tokens, state.view.n_tokens
    end = start + count
    tower: Mapping[str, Callable[[], Tensor]] = state.signals.cues([count], 0)

    def similarity() -> Tensor:
        words = qwen.get_input_embeddings()(ids[end:].to(tokens.device))
        return TextBehind(words).similarity(tokens)

    def rotary(part: int) -> Tensor:
        found = qwen.model.language_model.rotary_emb(
            tokens[None, :0].float(), position_ids=positions[:, None].to(tokens.device)
        )
        mean: Tensor = found[part].reshape(-1, *found[part].shape[-2:])[0, start:end].mean(-1)
        return mean

    sources: dict[str, Tensor | Callable[[], Tensor]] = {
        "projected": tokens,
        "patch_tokens": tokens,
        "input_similarity": similarity,
        "rotary_cosine": lambda: rotary(0),
        "rotary_sine": lambda: rotary(1),
        **{name: tower[name] for name in OF_TOWER},
    }
    if coverage is not None:
        covered = coverage.flatten().to(tokens.device)
        sources["coverage"] = covered
        sources["box"] = lambda: box_cells(covered.float(), layout.plane)
    return Cues(sources, layout, key)
