"""Other ways to read CLIP for a ranking of patches: another text pooling, another image layer."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.states import ClipImage


def pooled_text(
    tower: ClipTower, sentences: Sequence[str], pooling: Literal["eos", "words", "no_sos"] = "eos"
) -> Float[Tensor, "t p"]:
    """Project one state per sentence into the joint space, not normalised.

    Args:
        tower: The towers.
        sentences: T sentences.
        pooling: "eos": the state at the end, CLIP's own. "words": the mean over the word tokens,
            start and end left out. "no_sos": the end again, but the start token is taken out of the
            sequence, so that nothing can attend to it; the other tokens keep their positions.

    Raises:
        ValueError: If there is no sentence, or one without words is to be pooled over its words.
    """
    text = tower.text(sentences)
    if pooling == "eos":
        return text.text_embeds
    words = tower.clip.text_model
    places = torch.arange(text.input_ids.shape[1], device=text.input_ids.device)[None]
    if pooling == "no_sos":
        out = words(
            input_ids=text.input_ids[:, 1:],
            attention_mask=text.attention_mask[:, 1:],
            position_ids=places[:, 1:],
        )
        projected: Tensor = tower.clip.text_projection(out.pooler_output)
        return projected
    if int(text.eos_index.min()) < 2:
        raise ValueError("a sentence has no words to pool over; give text, or pooling='eos'")
    states = words(input_ids=text.input_ids, attention_mask=text.attention_mask).last_hidden_state
    inside = ((places > 0) & (places < text.eos_index[:, None])).to(states.dtype)[..., None]
    mean: Tensor = tower.clip.text_projection((states * inside).sum(1) / inside.sum(1))
    return mean


def ranked_patches(
    image: ClipImage, layer: Literal["second_last", "last"] = "second_last", norm: bool = True
) -> Float[Tensor, "b n p"]:
    """Project patch states into the joint space, not normalised.

    Args:
        image: The encoded image.
        layer: States the language model gets ("second_last", as the official code), or the output
            of the last block.
        norm: Whether the final layer norm comes first, as it does for CLS.

    Raises:
        ValueError: If the family projects behind its norm only.
    """
    if layer == "second_last" and norm:
        return image.patch_embeds
    tower = image.tower
    states = (
        image.patch_tokens
        if layer == "second_last"
        else image.last_hidden_state[:, tower.n_prefix :]
    )
    return tower.project(states) if norm else tower.project_unnormed(states)
