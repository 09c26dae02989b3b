"""The text that ranks visual tokens, as CLIP's text tower gets it."""

import logging
from collections.abc import Sequence
from functools import cache

from jaxtyping import Float
from torch import Tensor

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.readouts import pooled_text
from litelvlm.models.base import Conversation
from litelvlm.models.glamm.options import CAPTION, GlammOptions

logger = logging.getLogger(__name__)


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
