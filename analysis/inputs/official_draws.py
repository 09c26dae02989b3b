"""The official evaluation's conversation: up to three expressions and random templates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from litelvlm.models.base import Conversation, GroundingModel

MAX_TURNS = 3


@dataclass(frozen=True)
class OfficialDraw:
    """One image's turns.

    Attributes:
        expressions: Places among the image's pooled expressions, in the order of the turns.
        questions: Question template of each turn.
        answers: Answer template of each turn.
    """

    expressions: tuple[int, ...]
    questions: tuple[int, ...]
    answers: tuple[int, ...]

    def conversation(
        self, model: GroundingModel, sentences: Sequence[str], frames: int = 1
    ) -> Conversation:
        """The conversation about the image in the model's words, in the order of the draw.

        Args:
            model: The model whose templates were drawn.
            sentences: All sentences about the image.
            frames: Of a clip; an image has one.
        """
        return model.clip_conversation(
            [sentences[place] for place in self.expressions], frames, self.questions, self.answers
        )


def official_draw(
    n_expressions: int, image_id: int, seed: int, templates: tuple[int, int]
) -> OfficialDraw:
    """Draw the turns of the official evaluation for one image of a split.

    Of three or more expressions it draws three without replacement, in random order; of fewer it
    takes all, in their order. Question and answer templates are drawn independently and uniformly
    per turn. The official code sets no seed. Here the draw depends on the seed and the image only
    (raw Philox numbers, the same on every library version), so the order of the images, shards and
    processes do not change it.

    Args:
        n_expressions: Sentences of all references of the split on the image.
        image_id: Identity of the image, 0 or above.
        seed: 0 or above; report several.
        templates: How many question and how many answer templates the model has; GLaMM has 16
            and 5.

    Raises:
        ValueError: If there is no expression, or the seed or the id is negative.

    Example:
        >>> official_draw(2, 7, 0, (16, 5)).expressions
        (0, 1)
        >>> len(official_draw(9, 7, 0, (16, 5)).expressions)
        3

    Source: LiteLVLM and GLaMM official code, loader of the referring-segmentation evaluation.
    """
    if n_expressions < 1:
        raise ValueError(f"an image needs at least one expression, got {n_expressions}")
    if seed < 0 or image_id < 0:
        raise ValueError(f"seed {seed} and image_id {image_id} must be 0 or above")
    turns = min(n_expressions, MAX_TURNS)
    raw = np.random.Philox(np.random.SeedSequence((seed, image_id))).random_raw(
        n_expressions + 2 * turns
    )
    order = np.argsort(raw[:n_expressions], kind="stable")[:turns]
    places = order.tolist() if n_expressions >= MAX_TURNS else range(n_expressions)
    questions, answers = raw[n_expressions : n_expressions + turns], raw[n_expressions + turns :]
    return OfficialDraw(
        tuple(places),
        tuple((questions % templates[0]).tolist()),
        tuple((answers % templates[1]).tolist()),
    )
