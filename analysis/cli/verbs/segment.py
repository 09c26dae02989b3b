"""`litelvlm segment`: masks for expressions in one picture or clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import tyro

from litelvlm.analysis.cli.options import ModelOptions, Printing, require_writable


@dataclass(frozen=True, kw_only=True)
class Segment(ModelOptions, Printing):
    """Segment what expressions refer to in a picture or a clip, with all visual tokens or a few.

    The mask is white where the referent is. In the overlay beside it pruned visual tokens are dark,
    and what CLIP does not see is hatched. Several expressions give numbered files. With --answer
    generated the model writes its own answer. An answer without [SEG] gives no mask and exit code
    1.

    A clip is a folder of frames, an animation (GIF, WebP, PNG) or a video file (extra `video`).
    --out is then a folder: it gets a mask for every frame, a strip and an animation with outlines.
    Frames are read in parts of --clip-frames. Finished parts are kept; to continue, run the same
    command again.

    Examples:
      litelvlm segment photo.jpg "the yellow giraffe"
      litelvlm segment photo.jpg "the yellow giraffe" --pruner litelvlm --budget 48 --out mask.png
      litelvlm segment photo.jpg "the yellow giraffe" --pruner litelvlm --budget 48 --compare
      litelvlm segment photo.jpg "the yellow giraffe" --pruner fastv --budget 0.33
      litelvlm segment photo.jpg "the yellow giraffe" "the small tie" --protocol conversation --json
      litelvlm segment photo.jpg "the yellow giraffe" --pruner "litelvlm(order=raster)" --budget 48
      litelvlm segment photo.jpg "the yellow giraffe" --options read=seg
      litelvlm segment photo.jpg "the left man" --model glamm-7b --random-init
      litelvlm segment frames/ "the dog that jumps" --clip-frames 1 --out masks
    """

    image: tyro.conf.Positional[Path]
    """The picture, or the clip."""
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
    clip_frames: int = 64
    """Frames of a clip that the model reads at once, which bounds memory; 1 takes each frame alone,
    as a model of images must."""
    out: Path | None = None
    """Where to write the mask (default: mask.png), or the folder of a clip's (default: masks)."""

    @property
    def place(self) -> Path:
        """Where to write."""
        return self.out or Path("masks" if self._is_clip else "mask.png")

    @property
    def mask_folders(self) -> list[Path]:
        """Folders of the masks of a clip: of several expressions one each, numbered from 1."""
        numbers = [str(i + 1) for i in range(len(self.text))]
        return [self.place / number for number in numbers] if len(numbers) > 1 else [self.place]

    @property
    def shown(self) -> Path:
        """Folder of the strips and animations of a clip."""
        return self.place / "shown"

    @cached_property
    def _is_clip(self) -> bool:
        from litelvlm.data.video.frames import is_clip

        return is_clip(self.image)

    def refuse_early(self) -> None:
        """Check what can be checked without a model.

        Raises:
            ValueError: If there is no expression, an empty one, a budget below 1 or without a
                method, a method without a budget, or an --out that does not fit.
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
        if self.clip_frames < 1:
            raise ValueError(f"--clip-frames {self.clip_frames} is too small; read at least 1")
        if not self.image.exists():
            raise FileNotFoundError(f"no such picture: {self.image}")
        if self._is_clip:
            if self.compare:
                raise ValueError("--compare shows one picture; leave it out for a clip")
            image = self.image.resolve()
            written = [folder.resolve() for folder in (self.place, *self.mask_folders, self.shown)]
            png = self.place.suffix.lower() == ".png"
            if png or image in written or image.parent == written[-1]:
                raise ValueError(
                    f"--out {self.place} must be a folder of its own for the masks of a clip"
                )
        elif self.place.suffix.lower() != ".png":
            raise ValueError(f"--out {self.place} must end in .png: masks are written without loss")
        require_writable(self.place, folder=self._is_clip)

    def files_written(self) -> Sequence[Path]:
        """Masks of a picture, and the pictures beside each."""
        from litelvlm.data.mask_files import numbered

        if self._is_clip:
            return ()
        n = len(self.text)
        masks = [numbered(self.place, i, n) for i in range(n)]
        return [*masks, *(beside(mask, what) for mask in masks for what in ("overlay", "compare"))]


def beside(path: Path, what: str) -> Path:
    """File of another picture of the same mask: `mask.png`, `mask_overlay.png`."""
    return path.with_name(f"{path.stem}_{what}{path.suffix}")
