"""`litelvlm segment`: masks for expressions in one picture."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from litelvlm.analysis.cli.options import ModelOptions, require_writable
from litelvlm.analysis.cli.segment_text import MaskReport, as_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from litelvlm.pruning import Pruner


@dataclass(frozen=True, kw_only=True)
class Segment(ModelOptions):
    """Segment what expressions refer to in a picture, with all visual tokens or with a pruned set.

    The mask is white where the referent is. The overlay beside it darkens the pruned visual tokens.
    Several expressions give numbered files. With --answer generated the model writes its own
    answer. An answer without [SEG] gives no mask and exit code 1.

    Examples:
      litelvlm segment photo.jpg "the red circle"
      litelvlm segment photo.jpg "the red circle" --pruner litelvlm --budget 48 --out red.png
      litelvlm segment photo.jpg "the red circle" --pruner fastv --budget 0.33
      litelvlm segment photo.jpg "the red circle" "the small square" --protocol conversation --json
      litelvlm segment photo.jpg "the red circle" --pruner "litelvlm(order=raster)" --budget 48
      litelvlm segment photo.jpg "the red circle" --options read=seg
      litelvlm segment photo.jpg "the left man" --model glamm-7b --random-init
    """

    image: tyro.conf.Positional[Path]
    """The picture."""
    text: tyro.conf.Positional[tuple[str, ...]]
    """What to segment; one or more expressions."""
    pruner: str = "none"
    """Pruning method, with preset and fields where needed: "litelvlm(similarity=cosine)"."""
    budget: int | float | None = None
    """How many visual tokens to keep: a count, or a share of all between 0 and 1, such as 0.33."""
    protocol: Literal["single", "conversation"] = "single"
    """One pass per expression, or all in one conversation with one shared selection."""
    answer: Literal["forced", "generated"] = "forced"
    """"forced": a template answer, as in the evaluation; "generated": the model's own answer."""
    question_index: int = 0
    """Question template, 0 to 15."""
    answer_index: int = 0
    """Template of a forced answer, 0 to 4."""
    seed: int = 0
    """Seed of methods that draw at random."""
    out: Path = Path("mask.png")
    """Where to write the mask."""
    json: bool = False
    """Print one JSON object instead of text."""

    def run(self) -> int:
        """Write masks and overlays, print what was kept and how long it took."""
        self.refuse_early()
        from litelvlm.analysis.studies.overlay import TINTS, draw_kept, kept_indices
        from litelvlm.data.files import atomic_write
        from litelvlm.data.images import open_image
        from litelvlm.embedded.sizes import has_miniature_sizes
        from litelvlm.pruning import LayerTrace

        picture, pruner = open_image(self.image), self.build_pruner()
        model = self.load_model()
        templates = {"question_index": self.question_index, "answer_index": self.answer_index}
        result = model.segment(
            picture, list(self.text), pruner, self.budget, self.protocol, self.answer, **templates
        )
        # In one conversation all expressions share one selection.
        selections = (
            result.selections if len(result.selections) > 1 else result.selections * len(self.text)
        )
        found: list[MaskReport] = []
        outputs = zip(
            self.text,
            result.mask.cpu().numpy(),
            selections,
            result.answers,
            result.found,
            strict=True,
        )
        for i, (text, mask, selection, answer, has_mask) in enumerate(outputs):
            kept = kept_indices(selection, model.n_tokens)
            drawn = draw_kept(picture, mask, selection, model.tower, TINTS[i % len(TINTS)])
            name = numbered(self.out, i, len(self.text))
            overlay = name.with_name(f"{name.stem}_overlay{name.suffix}")
            atomic_write(name, png(mask.astype("uint8") * 255))
            atomic_write(overlay, png(drawn))
            shown: MaskReport = {
                "text": text,
                "mask": str(name),
                "overlay": str(overlay),
                "answer": answer,
                "found": has_mask,
                "pixels": int(mask.sum()),
                "kept": kept,
                "n_kept": model.n_tokens if selection is None else len(selection),
            }
            if isinstance(selection, LayerTrace):
                shown["layers"] = list(selection.counts)
            found.append(shown)
        miniature, random_weights = has_miniature_sizes(model), model.digest == "random"
        timings_ms = {stage: round(s * 1e3, 2) for stage, s in result.timings.items()}
        if self.json:
            report = {
                "model": model.name,
                "miniature": miniature,
                "random_weights": random_weights,
                "pruner": self.pruner,
                "budget": self.budget,
                "protocol": self.protocol,
                "n_tokens": model.n_tokens,
                "masks": found,
                "timings_ms": timings_ms,
            }
            sys.stdout.write(json.dumps(report) + "\n")
        else:
            text = as_text(
                found,
                pruner=self.pruner,
                n_tokens=model.n_tokens,
                timings_ms=timings_ms,
                random_weights=random_weights,
                miniature=miniature,
            )
            sys.stdout.write(text)
        return int(not all(result.found))

    def refuse_early(self) -> None:
        """Check what can be checked without a model.

        Raises:
            ValueError: If there is no expression, an empty one, a budget below 1 or without a
                method, a method without a budget, or an --out that is no PNG.
            OSError: If the picture is missing or the output place cannot be written.
        """
        if not self.text:
            raise ValueError(
                'an expression is missing; say what to segment, for example "the red circle"'
            )
        if any(not t.strip() for t in self.text):
            raise ValueError(
                'an expression is empty; say what to segment, for example "the red circle"'
            )
        if self.budget is not None and self.budget < 1 and not 0 < self.budget < 1:
            raise ValueError(f"budget {self.budget} is too small; keep at least 1 visual token")
        if self.pruner != "none" and self.budget is None:
            raise ValueError(
                f"--pruner {self.pruner} needs a --budget: how many visual tokens to keep"
            )
        if self.pruner == "none" and self.budget is not None:
            raise ValueError(
                f"--budget {self.budget} needs a --pruner; without one all visual tokens are kept"
            )
        if not self.image.is_file():
            raise FileNotFoundError(f"no such picture: {self.image}")
        if self.out.suffix.lower() != ".png":
            raise ValueError(f"--out {self.out} must end in .png: masks are written without loss")
        require_writable(self.out, folder=False)

    def build_pruner(self) -> Pruner | None:
        """The method as named, with the seed if it takes one; None keeps every token.

        Raises:
            ValueError: If the name, a preset or a field is unknown.
        """
        from litelvlm.analysis.inputs.methods import Method
        from litelvlm.pruning.cues import TRUTH

        method = Method.parse(self.pruner)
        if method.name == "none":
            return None
        pruner = method.pruner(self.seed if method.seeded else None)
        if pruner.needs & TRUTH:
            raise ValueError(
                f"{self.pruner!r} reads the true mask, which a picture alone does not have; "
                "use a study"
            )
        return pruner


def numbered(path: Path, i: int, n: int) -> Path:
    """File of the i-th of n masks: the path itself if n is 1, else `name-1.png`, `name-2.png`."""
    return path if n == 1 else path.with_name(f"{path.stem}-{i + 1}{path.suffix}")


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode [H, W] or [H, W, 3] uint8 pixels as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
