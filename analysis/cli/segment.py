"""`litelvlm segment`: masks for expressions in one picture."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from analysis.cli.options import ModelOptions, require_writable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from litelvlm.pruning import Pruner


@dataclass(frozen=True, kw_only=True)
class Segment(ModelOptions):
    """Segment what expressions refer to in a picture, with all visual tokens or with a pruned set.

    Writes the mask (white where the referent is) and an overlay beside it, in which visual tokens that were pruned away
    are darkened. Several expressions give numbered files.

    Examples:
      litelvlm segment photo.jpg "the red circle"
      litelvlm segment photo.jpg "the red circle" --pruner litelvlm --budget 48 --out red.png
      litelvlm segment photo.jpg "the red circle" "the small square" --protocol conversation --json
    """

    image: tyro.conf.Positional[Path]
    """The picture."""
    text: tyro.conf.Positional[tuple[str, ...]]
    """What to segment; one or more expressions."""
    pruner: str = "none"
    """Method that chooses the visual tokens; `litelvlm ls methods` lists them."""
    budget: int | None = None
    """How many visual tokens to keep."""
    protocol: Literal["single", "conversation"] = "single"
    """One pass per expression, or all in one conversation with one shared selection."""
    seed: int = 0
    """Seed of methods that draw at random."""
    out: Path = Path("mask.png")
    """Where to write the mask."""
    json: bool = False
    """Print one JSON object instead of text."""

    def run(self) -> int:
        """Write masks and overlays, print what was kept and how long it took."""
        self.refuse_early()
        from analysis.overlay import TINTS, draw_overlay, kept_indices, kept_pixels
        from litelvlm.data.files import atomic_write
        from litelvlm.glamm.preprocess import open_image

        picture, pruner = open_image(self.image), self.build_pruner()
        model = self.load_model()
        result = model.segment(picture, list(self.text), pruner=pruner, budget=self.budget, protocol=self.protocol)
        # In one conversation all expressions share one selection.
        selections = result.selections if len(result.selections) > 1 else result.selections * len(self.text)
        found = []
        for i, (text, mask, selection) in enumerate(zip(self.text, result.mask.cpu().numpy(), selections, strict=True)):
            kept = kept_indices(selection, model.n_tokens)
            seen = kept_pixels(kept, model.grid, picture.height, picture.width, model.tower.image_size)
            name = numbered(self.out, i, len(self.text))
            overlay = name.with_name(f"{name.stem}_overlay{name.suffix}")
            atomic_write(name, png(mask.astype("uint8") * 255))
            atomic_write(overlay, png(draw_overlay(picture, mask, seen, TINTS[i % len(TINTS)])))
            shown = {"text": text, "mask": str(name), "overlay": str(overlay)}
            found.append(shown | {"pixels": int(mask.sum()), "kept": kept})
        report = {
            "model": model.name,
            "miniature": model.name == "embedded",
            "pruner": self.pruner,
            "protocol": self.protocol,
            "n_tokens": model.n_tokens,
            "masks": found,
            "timings_ms": {stage: round(seconds * 1e3, 2) for stage, seconds in result.timings.items()},
        }
        sys.stdout.write(json.dumps(report) + "\n" if self.json else as_text(report))
        return 0

    def refuse_early(self) -> None:
        """Check what can be checked without a model.

        Raises:
            ValueError: If there is no expression, an empty one, a budget below 1, or an --out that is no PNG.
            OSError: If the picture is missing or the output place cannot be written.
        """
        if not self.text:
            raise ValueError('an expression is missing; say what to segment, for example "the red circle"')
        if any(not t.strip() for t in self.text):
            raise ValueError('an expression is empty; say what to segment, for example "the red circle"')
        if self.budget is not None and self.budget < 1:
            raise ValueError(f"budget {self.budget} is too small; keep at least 1 visual token")
        if self.pruner != "none" and self.budget is None:
            raise ValueError(f"--pruner {self.pruner} needs a --budget: how many visual tokens to keep")
        if not self.image.is_file():
            raise FileNotFoundError(f"no such picture: {self.image}")
        if self.out.suffix.lower() != ".png":
            raise ValueError(f"--out {self.out} must end in .png: masks are written without loss")
        require_writable(self.out, folder=False)

    def build_pruner(self) -> Pruner | None:
        """The method as named, with the seed if it takes one; None keeps every token.

        Raises:
            ValueError: If the name is unknown.
        """
        from litelvlm import get_pruner

        pruner = get_pruner(self.pruner)
        if self.pruner == "none":
            return None
        if "coverage" in pruner.needs:
            raise ValueError(f"{self.pruner!r} reads the true mask, which a picture alone does not have; use a study")
        return get_pruner(self.pruner, seed=self.seed) if "seed" in {f.name for f in fields(pruner)} else pruner


def numbered(path: Path, i: int, n: int) -> Path:
    """File of the i-th of n masks: the path itself if there is one, else `name-1.png`, `name-2.png`, ..."""
    return path if n == 1 else path.with_name(f"{path.stem}-{i + 1}{path.suffix}")


def png(pixels: NDArray[Any]) -> bytes:
    """Encode [H, W] or [H, W, 3] uint8 pixels as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def as_text(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = []
    for mask in report["masks"]:
        kept = mask["kept"]
        lines.append(f'"{mask["text"]}": {mask["pixels"]} pixels -> {mask["mask"]} (overlay: {mask["overlay"]})')
        some = "all of them" if len(kept) == report["n_tokens"] else " ".join(map(str, kept))
        lines.append(f"  kept {len(kept)} of {report['n_tokens']} visual tokens ({report['pruner']}): {some}")
    total = sum(report["timings_ms"].values())
    stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in report["timings_ms"].items())
    lines.append(f"{total:.1f} ms: {stages}")
    if report["miniature"]:
        lines.append(
            "These masks come from the bundled miniature, trained on rendered scenes; photographs are foreign to it."
        )
    return "\n".join(lines) + "\n"
