"""What the live demo computes: one expression with all visual tokens and with a pruned set."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.studies.overlay import contrasting_tints, draw_kept
from litelvlm.arrays import Array
from litelvlm.data.images import open_image
from litelvlm.metrics import intersection_union
from litelvlm.models.base import Grounding, GroundingModel
from litelvlm.models.timed import timed
from litelvlm.names import check_name
from litelvlm.pruning import LayerTrace, Selection, list_pruners
from litelvlm.pruning.cues import SUBSTITUTES

MAX_TEXT = 300
"""Signs of an expression."""
MAX_BYTES = 10 * 2**20
"""Largest upload in bytes."""
MAX_PIXELS = 20_000_000
"""Most pixels of an upload; more are refused before they are decoded."""
REPEATS = 3
"""Timed passes of the language model and the mask decoder; their median is shown."""
ORACLE_CUES = frozenset(
    {"coverage", "box", "llm_attention", "llm_prompt_attention", "llm_gradient", "block_importance"}
)
"""Cues that need the true mask or a whole unpruned pass, which the demo does not offer."""


@dataclass(frozen=True)
class DemoResult:
    """Masks and costs of one expression.

    Attributes:
        unpruned: Overlay of the mask with all tokens.
        pruned: Overlay of the mask with the kept tokens; pruned ones are dark.
        agreement: IoU of the two masks; 1 if both are empty.
        n_kept: Visual tokens per layer of the language model, on average.
        n_tokens: Visual tokens before pruning.
        unpruned_seconds: Projector, language model and mask decoder with all tokens, median of
            ``REPEATS``.
        pruned_seconds: The same with the kept tokens, the choice of tokens included.
    """

    unpruned: UInt8[Array, "height width 3"]
    pruned: UInt8[Array, "height width 3"]
    agreement: float
    n_kept: float
    n_tokens: int
    unpruned_seconds: float
    pruned_seconds: float

    @property
    def summary(self) -> str:
        """Tokens, time and agreement in words."""
        tokens = 1 - self.n_kept / self.n_tokens
        time = 1 - self.pruned_seconds / self.unpruned_seconds
        change = f"{time:.0%} less" if time >= 0 else f"{-time:.0%} more"
        return (
            f"{self.n_kept:.0f} of {self.n_tokens} visual tokens ({tokens:.0%} fewer); "
            "language model and mask decoder "
            f"{1e3 * self.pruned_seconds:.0f} ms instead of {1e3 * self.unpruned_seconds:.0f} "
            f"ms ({change} time); "
            f"the two masks agree with IoU {self.agreement:.2f}."
        )


def usable_methods() -> dict[str, str]:
    """Methods that are no oracles: name to summary."""
    return {
        name: cls.summary
        for name, cls in list_pruners().items()
        if name != "none" and not cls.needs & (ORACLE_CUES | SUBSTITUTES)
    }


def read_upload(path: str | Path) -> Image.Image:
    """Open an uploaded picture, refused before it is decoded if it is too large.

    Raises:
        ValueError: If the file or the picture is too large, or no picture.
    """
    size = Path(path).stat().st_size
    if size > MAX_BYTES:
        raise ValueError(
            f"the file has {size / 2**20:.1f} MB; at most {MAX_BYTES // 2**20} MB are taken"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", Image.DecompressionBombWarning
            )  # our own limit is lower
            with Image.open(path) as picture:
                width, height = picture.size
    except Image.DecompressionBombError as error:
        most = f"at most {MAX_PIXELS / 1e6:.0f} million pixels are taken"
        raise ValueError(f"the picture is too large; {most}") from error
    except OSError as error:
        raise ValueError(f"not a readable picture ({type(error).__name__})") from error
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"the picture has {width} x {height} pixels; at most {MAX_PIXELS / 1e6:.0f} "
            "million are taken"
        )
    return open_image(path)


@torch.inference_mode()
def compare(
    model: GroundingModel, picture: Image.Image, text: str, method: str, budget: int, seed: int = 0
) -> DemoResult:
    """Segment an expression with all tokens and with a pruned set.

    Args:
        model: Grounding model.
        picture: RGB picture.
        text: Referring expression.
        method: Name of a method that is no oracle.
        budget: Visual tokens to keep.
        seed: Of methods that draw at random.

    Raises:
        ValueError: If the expression is empty, the method unknown or unusable, or the budget
            impossible.
    """
    check_name(method, usable_methods(), "method")
    if len(text) > MAX_TEXT:
        raise ValueError(f"the expression has {len(text)} signs; at most {MAX_TEXT} are taken")
    dialogue = model.conversation([text])
    pruner = Method(name=method).pruner(seed)
    state = model.encode_image(picture)

    def choose() -> Selection:
        return pruner.select(model.cues(state, dialogue), budget)

    def ground(selection: Selection | None) -> Grounding:
        return model.ground([state], [dialogue], [selection])[0]

    selection = choose()  # also the warm-up, like the first two passes: none of them is timed
    whole, few = ground(None), ground(selection)
    whole_mask, few_mask = whole.mask[0].cpu().numpy(), few.mask[0].cpu().numpy()
    (tint,) = contrasting_tints(picture, (whole_mask | few_mask)[None])
    return DemoResult(
        draw_kept(picture, whole_mask, None, state.view, tint),
        draw_kept(picture, few_mask, few.selection, state.view, tint),
        intersection_union(few_mask, whole_mask.astype(np.uint8)).iou,
        few.selection.average
        if isinstance(few.selection, LayerTrace)
        else float(len(selection.indices)),
        state.view.n_tokens,
        median_seconds(lambda: ground(None), model.device),
        median_seconds(lambda: ground(choose()), model.device),
    )


def median_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Median seconds of ``REPEATS`` calls; a GPU's queue is waited for."""
    return median(timed(work, device)["wall"] for _ in range(REPEATS)) / 1e3
