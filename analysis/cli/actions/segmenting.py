"""What masks of pictures and of clips share: the method as named, and why masks may mean little."""

from collections.abc import Iterator, Sequence

from litelvlm.analysis.cli.verbs.segment import Segment
from litelvlm.analysis.inputs.methods import Method
from litelvlm.pruning import Pruner
from litelvlm.pruning.cues import TRUTH


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
