"""What `litelvlm segment` reports: its fields, and the text for a terminal."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict


class MaskReport(TypedDict):
    """One mask.

    Attributes:
        text: The expression.
        mask: File of the mask.
        overlay: File of the overlay.
        answer: What the model answered.
        found: Whether the answer holds [SEG], so that there is a mask.
        pixels: Size of the mask.
        kept: Raster indices of the kept tokens that have a place in the grid.
        n_kept: Kept tokens, merged ones included.
        layers: Visual tokens per layer, for methods that prune inside the language model.
    """

    text: str
    mask: str
    overlay: str
    answer: str
    found: bool
    pixels: int
    kept: list[int]
    n_kept: int
    layers: NotRequired[list[int]]


def kept_text(kept: list[int], n_kept: int, n_tokens: int) -> str:
    """Name the kept tokens; merged ones and CLS have no place in the grid and are counted."""
    others = n_kept - len(kept)
    if len(kept) == n_tokens:
        return "all of them"
    made = f"{others} that {'is' if others == 1 else 'are'} no single patch" if others else ""
    return " and ".join(filter(None, [" ".join(map(str, kept)), made]))


def as_text(
    masks: Sequence[MaskReport],
    *,
    pruner: str,
    n_tokens: int,
    timings_ms: Mapping[str, float],
    random_weights: bool,
    miniature: bool,
) -> str:
    """A report as lines for a terminal.

    Args:
        masks: One per expression.
        pruner: Label of the method.
        n_tokens: Visual tokens before pruning.
        timings_ms: Milliseconds by stage.
        random_weights: Whether the model's weights were drawn at random.
        miniature: Whether the model is the bundled miniature.
    """
    lines = []
    for mask in masks:
        lines.append(
            f'"{mask["text"]}": {mask["pixels"]} pixels -> {mask["mask"]} (overlay: '
            f"{mask['overlay']})"
        )
        if not mask["found"]:
            lines.append(f'  no mask: the answer was "{mask["answer"]}", without [SEG]')
        some = kept_text(mask["kept"], mask["n_kept"], n_tokens)
        lines.append(f"  kept {mask['n_kept']} of {n_tokens} visual tokens ({pruner}): {some}")
        if "layers" in mask:
            layers, average = mask["layers"], sum(mask["layers"]) / len(mask["layers"])
            lines.append(
                f"  visual tokens per layer: {' '.join(map(str, layers))}; {average:.4g} on average"
            )
    total = sum(timings_ms.values())
    stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in timings_ms.items())
    lines.append(f"{total:.1f} ms: {stages}")
    if random_weights:
        lines.append("These masks mean nothing: the weights were drawn at random.")
    if miniature:
        lines.append(
            "These masks come from the bundled miniature, trained on rendered scenes; "
            "photographs are foreign to it."
        )
    return "\n".join(lines) + "\n"
