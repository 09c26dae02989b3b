"""What `litelvlm segment` reports: its fields, and the text for a terminal."""

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


class SegmentReport(TypedDict):
    """One call.

    Attributes:
        model: Name of the model.
        miniature: Whether it is the bundled miniature.
        random_weights: Whether its weights were drawn at random.
        pruner: Label of the method.
        budget: Tokens to keep, or their share; None without a method.
        protocol: "single" or "conversation".
        n_tokens: Visual tokens before pruning.
        masks: One per expression.
        timings_ms: Milliseconds by stage.
    """

    model: str
    miniature: bool
    random_weights: bool
    pruner: str
    budget: int | float | None
    protocol: str
    n_tokens: int
    masks: list[MaskReport]
    timings_ms: dict[str, float]


def kept_text(kept: list[int], n_kept: int, n_tokens: int) -> str:
    """Name the kept tokens; merged ones and CLS have no place in the grid and are counted."""
    others = n_kept - len(kept)
    if len(kept) == n_tokens:
        return "all of them"
    made = f"{others} that {'is' if others == 1 else 'are'} no single patch" if others else ""
    return " and ".join(filter(None, [" ".join(map(str, kept)), made]))


def as_text(report: SegmentReport) -> str:
    """A report as lines for a terminal."""
    lines = []
    for mask in report["masks"]:
        lines.append(
            f'"{mask["text"]}": {mask["pixels"]} pixels -> {mask["mask"]} (overlay: '
            f"{mask['overlay']})"
        )
        if not mask["found"]:
            lines.append(f'  no mask: the answer was "{mask["answer"]}", without [SEG]')
        some = kept_text(mask["kept"], mask["n_kept"], report["n_tokens"])
        lines.append(
            f"  kept {mask['n_kept']} of {report['n_tokens']} visual tokens "
            f"({report['pruner']}): {some}"
        )
        if "layers" in mask:
            layers, average = mask["layers"], sum(mask["layers"]) / len(mask["layers"])
            lines.append(
                f"  visual tokens per layer: {' '.join(map(str, layers))}; {average:.4g} on average"
            )
    total = sum(report["timings_ms"].values())
    stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in report["timings_ms"].items())
    lines.append(f"{total:.1f} ms: {stages}")
    if report["random_weights"]:
        lines.append("These masks mean nothing: the weights were drawn at random.")
    if report["miniature"]:
        lines.append(
            "These masks come from the bundled miniature, trained on rendered scenes; "
            "photographs are foreign to it."
        )
    return "\n".join(lines) + "\n"
