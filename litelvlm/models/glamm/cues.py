"""What a method may read of a GLaMM about one image and one conversation."""

import logging
from collections.abc import Callable, Sequence
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.probes.last_blocks import readout_cues
from litelvlm.clip.readouts import pooled_text, ranked_patches
from litelvlm.clip.vit_view import ClipVitView
from litelvlm.models.base import Conversation
from litelvlm.models.glamm.attribution.targets import (
    attention_rows,
    block_importance,
    target_gradient,
)
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.options import CAPTION, GlammOptions
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.glamm.prompting import prompts
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX
from litelvlm.models.view import image_tower_cues
from litelvlm.pruning import Cues
from litelvlm.pruning.grid import box_cells

logger = logging.getLogger(__name__)


def image_cues(
    model: GlammNetwork,
    state: ImageState,
    conversation: Conversation,
    coverage: Float[Tensor, "*n"] | None = None,
    key: int = 0,
) -> Cues:
    """Every cue, computed when a method reads it (see ``Glamm.cues``)."""
    clip, options, layout = state.clip, model.options, state.view.layout

    def attention(query: str) -> Tensor:
        return attention_rows(model, state, conversation, query).mean(dim=1).T

    sources: dict[str, Callable[[], Tensor]] = {
        **image_tower_cues(lambda: clip),
        "patch_embeds": lambda: ranked_patches(clip, options.patch_layer, options.patch_norm)[0],
        **readout_cues(lambda: clip),
        "text_embeds": lambda: ranking_text(model.tower, options, conversation),
        "projected": lambda: model.project(clip.patch_tokens[0]),
        "rotary_cosine": lambda: rotary_means(model)[0],
        "rotary_sine": lambda: rotary_means(model)[1],
        "llm_attention": lambda: attention("seg"),
        "llm_prompt_attention": lambda: attention("last_prompt"),
        "llm_gradient": lambda: target_gradient(model, state, conversation),
        "block_importance": lambda: block_importance(model, state, conversation),
    }
    if coverage is not None:
        covered = coverage.flatten().to(model.device)
        sources["coverage"] = lambda: covered
        sources["box"] = lambda: box_cells(covered.float(), layout.plane)
    return Cues(sources, layout, key, vit=lambda: ClipVitView(clip))


def rotary_means(model: GlammNetwork) -> tuple[Tensor, Tensor]:
    """Mean cosine and sine of the rotary angles at the positions of unpruned visual tokens."""
    # The text before the image is the same in every conversation.
    prompt = prompts.full_prompt(prompts.conversation(["it"]))
    start = model.tokenizer.encode(prompt).index(IMAGE_INDEX)
    positions = start + torch.arange(model.n_tokens, device=model.device)
    like = torch.empty(0, device=model.device)
    cos, sin = model.llama.model.rotary_emb(like, position_ids=positions[None])
    return cos[0].mean(dim=1), sin[0].mean(dim=1)


def ranking_text(
    tower: ClipTower,
    options: GlammOptions,
    conversation: Conversation,
) -> Float[Tensor, "t p"]:
    """Embed one text per turn, not normalised; texts that CLIP cuts off are logged once.

    Args:
        tower: CLIP's towers.
        options: ``clip_text`` and ``pooling`` decide.
        conversation: Its questions as full sentences, or its expressions.
    """
    questions = conversation.questions
    if options.clip_text == "question":
        return _embedded(tower, options, questions)
    texts = conversation.expressions
    if options.clip_text == "caption":
        texts = tuple(CAPTION.format(text) for text in texts)
    embedded = _embedded(tower, options, texts)
    if options.clip_text == "average":
        return (embedded + _embedded(tower, options, questions)) / 2
    return embedded


def _embedded(tower: ClipTower, options: GlammOptions, texts: Sequence[str]) -> Tensor:
    if any(tower.tokenize(texts)[2]):
        _warn_of_cut(int(tower.text_config.max_position_embeddings))
    return pooled_text(tower, texts, options.pooling)


@cache
def _warn_of_cut(limit: int) -> None:
    logger.warning(
        "a text is longer than the %d tokens that CLIP reads and is cut there (logged once)", limit
    )
