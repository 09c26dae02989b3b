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
        compare: File that shows the mask beside the unpruned one.
        pixels_unpruned: Size of the unpruned mask.
        agreement: IoU of both masks, in [0, 1].
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
    compare: NotRequired[str]
    pixels_unpruned: NotRequired[int]
    agreement: NotRequired[float]


class SegmentReport(TypedDict):
    """All that one call says.

    Attributes:
        model: Name of the model.
        miniature: Whether it is the bundled miniature.
        random_weights: Whether its weights were drawn at random.
        pruner: Label of the method.
        budget: Tokens to keep, or their share; None without a method.
        protocol: How expressions share a conversation.
        n_tokens: Visual tokens before pruning.
        unseen_rim: Whether parts of the picture lie outside CLIP's crop.
        unknown_words: Words that the miniature never read.
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
    unseen_rim: bool
    unknown_words: list[str]
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
    lines, n_tokens = [], report["n_tokens"]
    for mask in report["masks"]:
        lines.append(
            f'"{mask["text"]}": {mask["pixels"]} pixels -> {mask["mask"]} (overlay: '
            f"{mask['overlay']})"
        )
        if not mask["found"]:
            lines.append(f'  no mask: the answer was "{mask["answer"]}", without [SEG]')
        some = kept_text(mask["kept"], mask["n_kept"], n_tokens)
        lines.append(
            f"  kept {mask['n_kept']} of {n_tokens} visual tokens ({report['pruner']}): {some}"
        )
        if "layers" in mask:
            layers, average = mask["layers"], sum(mask["layers"]) / len(mask["layers"])
            lines.append(
                f"  visual tokens per layer: {' '.join(map(str, layers))}; {average:.4g} on average"
            )
        if "compare" in mask:
            lines.append(
                f"  with all tokens: {mask['pixels_unpruned']} pixels; the two masks agree with "
                f"IoU {mask['agreement']:.2f} -> {mask['compare']}"
            )
    total = sum(report["timings_ms"].values())
    stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in report["timings_ms"].items())
    lines.append(f"{total:.1f} ms: {stages}")
    if report["unseen_rim"]:
        lines.append(
            "CLIP reads the square in the middle; the hatched rim of the overlay is unseen."
        )
    return "\n".join([*lines, *cautions(report), ""])


def cautions(report: SegmentReport) -> list[str]:
    """Why the masks may mean little."""
    found = []
    if report["random_weights"]:
        found.append("These masks mean nothing: the weights were drawn at random.")
    elif report["unknown_words"]:
        words = ", ".join(f'"{word}"' for word in report["unknown_words"])
        found.append(
            f"The model was never trained on {words}: its masks for such words mean nothing."
        )
    if report["miniature"]:
        found.append(
            "These masks come from the bundled miniature, trained on rendered scenes; "
            "photographs are foreign to it."
        )
    return found
