"""What masks of pictures and of clips share: the method, the call, and why masks mean little."""

from collections.abc import Iterator, Sequence

from PIL import Image

from litelvlm.analysis.cli.verbs.segment import Segment
from litelvlm.analysis.inputs.methods import Method
from litelvlm.data.video.frames import ClipFrames
from litelvlm.models.base import Grounding, GroundingModel
from litelvlm.pruning import LayerTrace, Pruner, Selection
from litelvlm.pruning.cue_table import TRUTH


def build_pruner(verb: Segment) -> Pruner | None:
    """The method as named, with the seed if it takes one; None keeps every token.

    Raises:
        ValueError: If the name, a preset or a field is unknown.
    """
    method = Method.parse(verb.pruner)
    if method.name == "none":
        return None
    pruner = method.pruner(verb.seed if method.seeded else None)
    if pruner.needs & TRUTH:
        raise ValueError(
            f"{verb.pruner!r} reads the true mask, which a picture alone does not have; use a study"
        )
    return pruner


def segment(
    verb: Segment, model: GroundingModel, source: Image.Image | ClipFrames, pruner: Pruner | None
) -> Grounding:
    """Segment all expressions with one method; None keeps every token."""
    return model.segment(
        source,
        list(verb.text),
        pruner,
        None if pruner is None else verb.budget,
        verb.protocol,
        verb.answer,
        question_index=verb.question_index,
        answer_index=verb.answer_index,
    )


def selections_of(result: Grounding) -> tuple[Selection | LayerTrace | None, ...]:
    """What was kept for each expression; in one conversation all share one selection."""
    return result.selections * (len(result.answers) // len(result.selections))


def cautions(random: bool, miniature: bool, unknown_words: Sequence[str]) -> Iterator[str]:
    """Why the masks may mean little."""
    if random:
        yield "These masks mean nothing: the weights were drawn at random."
    elif unknown_words:
        words = ", ".join(f'"{word}"' for word in unknown_words)
        yield f"The model was never trained on {words}: its masks for such words mean nothing."
    if miniature:
        yield (
            "These masks come from the bundled miniature, trained on rendered scenes; "
            "photographs are foreign to it."
        )
