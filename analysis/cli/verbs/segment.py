"""`litelvlm segment`: masks for expressions in one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from litelvlm.analysis.cli.options import ModelOptions, Printing, require_writable
from litelvlm.analysis.cli.segment_text import MaskReport, SegmentReport, as_text

if TYPE_CHECKING:
    from PIL.Image import Image

    from litelvlm.models.base import Grounding
    from litelvlm.models.glamm.model import Glamm
    from litelvlm.pruning import Pruner


@dataclass(frozen=True, kw_only=True)
class Segment(ModelOptions, Printing):
    """Segment what expressions refer to in a picture, with all visual tokens or with a pruned set.

    The mask is white where the referent is. In the overlay beside it pruned visual tokens are dark,
    and what CLIP does not see is hatched. Several expressions give numbered files. With --answer
    generated the model writes its own answer. An answer without [SEG] gives no mask and exit code
    1.

    Examples:
      litelvlm segment photo.jpg "the yellow giraffe"
      litelvlm segment photo.jpg "the yellow giraffe" --pruner litelvlm --budget 48 --out mask.png
      litelvlm segment photo.jpg "the yellow giraffe" --pruner litelvlm --budget 48 --compare
      litelvlm segment photo.jpg "the yellow giraffe" --pruner fastv --budget 0.33
      litelvlm segment photo.jpg "the yellow giraffe" "the small tie" --protocol conversation --json
      litelvlm segment photo.jpg "the yellow giraffe" --pruner "litelvlm(order=raster)" --budget 48
      litelvlm segment photo.jpg "the yellow giraffe" --options read=seg
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
    compare: bool = False
    """Also segment with all visual tokens, and draw both side by side."""
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

    def run(self) -> int:
        """Write masks and overlays, print what was kept and how long it took."""
        self.refuse_early()
        from litelvlm.analysis.studies.overlay import has_unseen_rim
        from litelvlm.data.images import open_image
        from litelvlm.embedded.clip_sizes import has_miniature_sizes

        picture, pruner = open_image(self.image), self.build_pruner()
        model = self.load_model()
        result = self.segment(model, picture, pruner)
        whole = self.segment(model, picture, None) if self.compare else None
        report: SegmentReport = {
            "model": model.name,
            "miniature": has_miniature_sizes(model),
            "random_weights": model.digest == "random",
            "pruner": self.pruner,
            "budget": self.budget,
            "protocol": self.protocol,
            "n_tokens": model.n_tokens,
            "unseen_rim": has_unseen_rim(model.tower, picture.height, picture.width),
            "unknown_words": list(result.unknown_words),
            "masks": self.write(model, picture, result, whole),
            "timings_ms": {stage: round(s * 1e3, 2) for stage, s in result.timings.items()},
        }
        self.print_found(report, as_text(report))
        return int(not all(result.found))

    def segment(self, model: Glamm, picture: Image, pruner: Pruner | None) -> Grounding:
        """Segment all expressions with one method; None keeps every token."""
        return model.segment(
            picture,
            list(self.text),
            pruner,
            None if pruner is None else self.budget,
            self.protocol,
            self.answer,
            question_index=self.question_index,
            answer_index=self.answer_index,
        )

    def write(
        self, model: Glamm, picture: Image, result: Grounding, whole: Grounding | None
    ) -> list[MaskReport]:
        """Write the masks, their overlays and, beside an unpruned result, the comparisons."""
        from PIL import Image

        from litelvlm.analysis.pages.side_by_side import side_by_side
        from litelvlm.analysis.studies.overlay import contrasting_tints, draw_kept, kept_indices
        from litelvlm.data.files import atomic_write
        from litelvlm.data.mask_files import png, write_masks
        from litelvlm.metrics import intersection_union
        from litelvlm.pruning import LayerTrace

        masks, found = result.mask.cpu().numpy(), list[MaskReport]()
        tints = contrasting_tints(picture, masks)
        # In one conversation all expressions share one selection.
        times = 1 if len(result.selections) > 1 else len(masks)
        selections = result.selections * times
        for i, (text, name) in enumerate(zip(self.text, write_masks(self.out, masks), strict=True)):
            mask, selection = masks[i], selections[i]
            drawn = draw_kept(picture, mask, selection, model.tower, tints[i])
            overlay = atomic_write(beside(name, "overlay"), png(drawn))
            shown: MaskReport = {
                "text": text,
                "mask": str(name),
                "overlay": str(overlay),
                "answer": result.answers[i],
                "found": result.found[i],
                "pixels": int(mask.sum()),
                "kept": kept_indices(selection, model.n_tokens),
                "n_kept": model.n_tokens if selection is None else len(selection),
            }
            if isinstance(selection, LayerTrace):
                shown["layers"] = list(selection.counts)
            if whole is not None:
                other = whole.mask[i].cpu().numpy()
                both = intersection_union(mask, other.astype("uint8"))
                plain = draw_kept(picture, other, None, model.tower, tints[i])
                panels = {
                    f'"{text}"': picture,
                    f"all {model.n_tokens} tokens": Image.fromarray(plain),
                    f"{shown['n_kept']} tokens, {self.pruner}": Image.fromarray(drawn),
                }
                page = atomic_write(beside(name, "compare"), png(side_by_side(panels)))
                shown["compare"] = str(page)
                shown["pixels_unpruned"] = int(other.sum())
                shown["agreement"] = both.intersection / both.union if both.union else 1.0
            found.append(shown)
        return found

    def refuse_early(self) -> None:
        """Check what can be checked without a model.

        Raises:
            ValueError: If there is no expression, an empty one, a budget below 1 or without a
                method, a method without a budget, or an --out that is no PNG.
            OSError: If the picture is missing or the output place cannot be written.
        """
        if not self.text:
            raise ValueError(
                'an expression is missing; say what to segment, for example "the yellow giraffe"'
            )
        if any(not t.strip() for t in self.text):
            raise ValueError(
                'an expression is empty; say what to segment, for example "the yellow giraffe"'
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
        if self.compare and self.pruner == "none":
            raise ValueError(
                "--compare needs a --pruner and a --budget: it shows them beside all visual tokens"
            )
        if self.image.is_dir():
            raise IsADirectoryError(f"{self.image} is a folder; name one picture inside it")
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


def beside(path: Path, what: str) -> Path:
    """File of another picture of the same mask: `mask.png`, `mask_overlay.png`."""
    return path.with_name(f"{path.stem}_{what}{path.suffix}")
