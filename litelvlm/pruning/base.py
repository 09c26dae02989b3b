"""What a pruning method is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from functools import partial
from sys import modules
from typing import ClassVar, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.budgets import ModelSizes, check_budget
from litelvlm.pruning.cue_table import OF_LANGUAGE_MODEL, TRUTH
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.foreign import foreign_code
from litelvlm.pruning.frames import FrameCues, joined
from litelvlm.pruning.options import check_field_values
from litelvlm.pruning.positions import Order, Positions
from litelvlm.pruning.ranking import ascending, highest
from litelvlm.pruning.selection import RawSelection, Selection

Confidence = Literal["A", "B", "C", "-"]


@dataclass(frozen=True)
class Origin:
    """Paper, code licence, and how closely a method here follows its authors.

    Attributes:
        source: Paper, as "arXiv 2412.01818", or "this library".
        licence: Licence of the official code: its SPDX name, "none" if the code carries none, "no
            code" if none was found, "-" for a method of this library. Formulas were taken from it,
            never text.
        confidence: "A": written after the official code, line by line. "B": after parts of it or
            two independent sources. "C": our reading of a paper, so that numbers are not the
            authors'. "-": a method of this library.
    """

    source: str
    licence: str
    confidence: Confidence


OURS = Origin("this library", "-", "-")


@dataclass(frozen=True, kw_only=True)
class Pruner(ABC):
    """A method that chooses which visual tokens the language model gets.

    A method is a frozen dataclass whose fields are its options, so ``str(pruner)`` is its
    provenance; it implements ``choose``. Defaults are what the released code does.

    Attributes:
        order: "native": as the method's released code emits them; "raster": by place in the image.
        positions: "contiguous", "original" or "stretch" (see ``litelvlm.pruning.positions``).
        name: Name in the table of methods: a Python identifier.
        title: Name for readers of figures and tables: "SparseVLM+".
        summary: One line for lists and tables.
        needs: Cues that some setting of the fields may read.
        files: Files that it reads, such as weights, by their names in the folder of its own file.
            They count in the key of a run.
        stage: Where it sits: "vit" (between blocks of the image tower), "pre_projector",
            "post_projector" or "llm".
        text_guided: Its choice depends on the text.
        native_order: Order of ``order="native"``, in words.
        flash_safe: It runs with attention kernels that give no weights and take no additive bias.
        origin: Paper, licence of the official code, and confidence.
        synthetic: It may emit tokens that are no plain patch tokens. Such a method keeps every
            token as it is when the budget is all of them, since there is nothing to merge.
        video_substitute: Empty for a method that chooses among the tokens of any number of frames.
            A method that lays out one grid of rows and columns names a method here that is to be
            used for several frames instead.
        presets: Named sets of fields that differ from the defaults, next to "faithful", which is
            the defaults, and "gap", which every method has (see ``get_pruner``). "fixed" guards the
            quirks of a released code, in raster order; "paper" follows the paper where its code
            does not.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    files: ClassVar[tuple[str, ...]] = ()
    stage: ClassVar[str] = "pre_projector"
    text_guided: ClassVar[bool] = False
    native_order: ClassVar[str] = "raster"
    flash_safe: ClassVar[bool] = True
    origin: ClassVar[Origin] = OURS
    synthetic: ClassVar[bool] = False
    video_substitute: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}

    order: Order = "native"
    positions: Positions = "contiguous"

    def __init_subclass__(cls, **options: object) -> None:
        """Refuse a constructor that is written by hand: what it takes would be in no record.

        Raises:
            TypeError: Naming the class.
        """
        super().__init_subclass__(**options)
        if "__init__" in vars(cls) and "__dataclass_fields__" not in vars(cls):
            raise TypeError(
                f"{cls.__name__} defines __init__, but a method is a frozen dataclass: decorate it "
                "with @dataclass(frozen=True, kw_only=True), declare each option as a field with a "
                "default (sign: float = 1.0), and leave __init__ out"
            )

    def __post_init__(self) -> None:
        self.check_options({entry.name: getattr(self, entry.name) for entry in fields(self)})

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Refuse a field value that its annotation does not allow.

        Raises:
            ValueError: Naming the field, the value and what is allowed.
        """
        check_field_values(cls, options)

    def select(self, cues: Cues, budget: int | float) -> Selection:
        """Choose exactly ``budget`` tokens.

        Args:
            cues: What the method may know.
            budget: Tokens to keep, or their share of all as a number strictly between 0 and 1.

        Raises:
            ValueError: If the budget is not a whole number from 1 to the number of tokens nor a
                share that keeps one, a cue is missing, or there are several frames and the method
                takes one.
        """
        if isinstance(cues, FrameCues):
            self.check_frames(cues.frames, each=True)
            counts = cues.counts(budget)
            parts = map(self._chosen, cues.by_frame, counts)
            raw = joined([*parts], cues.layout.per_frame, partial(self._merged, cues))
            count = sum(counts)
        else:
            count = self.checked_budget(cues, budget)
            raw = self._chosen(cues, count)
        return self.to_selection(raw, cues.n_tokens, count)

    def _merged(self, cues: FrameCues, frame: int) -> Tensor:
        """What the method merges of a frame: its tokens before or behind the projector."""
        behind = self.stage == "post_projector"
        return cues.by_frame[frame].get("projected" if behind else "patch_tokens")

    def _chosen(self, cues: Cues, count: int) -> RawSelection:
        """What ``choose`` returns, checked."""
        if self.synthetic and count == cues.n_tokens:  # nothing to merge
            raw = RawSelection(torch.arange(count))
        elif self.is_foreign:
            with self.foreign_code(cues.key):
                raw = self.choose(cues.copied(self.needs), count)
        else:
            raw = self.choose(cues, count)
        return self.checked(raw, cues, count)

    @abstractmethod
    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """The method itself; ``budget`` is already checked."""

    def checked(self, raw: object, cues: Cues, budget: int) -> RawSelection:
        """The tokens that ``choose`` returned, if they are what it promises.

        Raises:
            ValueError: Naming the method and what is wrong.
        """
        if type(raw) is not RawSelection:  # another class may answer for itself
            found = f"returned {raw!r}, which is no RawSelection"
        else:
            found = raw.problem(cues.n_tokens, self.entering(budget), self.synthetic)
            found = found or self._other_width(raw, cues)
        if found:
            raise ValueError(
                f"method {self.name!r} {found}; choose must return RawSelection(indices) with "
                f"{budget} different raster indices from 0 to {cues.n_tokens - 1}"
            )
        return cast(RawSelection, raw)

    def _other_width(self, raw: RawSelection, cues: Cues) -> str:
        """What is wrong with the width of merged tokens; those of the suite's methods are known."""
        if raw.tokens is None or not self.is_foreign:
            return ""
        name = "projected" if self.stage == "post_projector" else "patch_tokens"
        found, needed = raw.tokens.shape[1], cues.get(name).shape[1]
        return (
            "" if found == needed else f"returned tokens of width {found} where {name} has {needed}"
        )

    def entering(self, budget: int) -> int | None:
        """Tokens that ``choose`` must return; None where any number may enter."""
        return budget

    @property
    def in_language_model(self) -> bool:
        """Whether it changes the inside of the language model: here its attention."""
        return not self.flash_safe and self.stage != "vit"

    @property
    def about(self) -> str:
        """What it keeps as its fields are set, in one line."""
        return self.summary

    @property
    def is_foreign(self) -> bool:
        """Whether it, or a method that it holds, is not part of this package."""
        held = (getattr(self, entry.name) for entry in fields(self))
        return type(self).__module__.partition(".")[0] != "litelvlm" or any(
            isinstance(one, Pruner) and one.is_foreign for one in held
        )

    def foreign_code(self, key: int = 0) -> AbstractContextManager[None]:
        """Run code of this method so that what it prints and how it fails is told as its own.

        Args:
            key: Identity of the image, from which Python's own random generator begins.
        """
        file = getattr(modules.get(type(self).__module__), "__file__", None)
        return foreign_code(f"method {self.name!r}", file, key)

    def to_selection(self, raw: RawSelection, n_tokens: int, budget: int) -> Selection:
        """Set output order and positions as the fields say.

        A method whose own order is the raster is sorted, whatever order it returned.
        """
        order: Order = "raster" if self.native_order == "raster" else self.order
        return Selection.from_raw(raw, n_tokens, order, self.positions, self.stage)

    def checked_budget(self, cues: Cues, budget: int | float) -> int:
        """The budget as a number of tokens.

        Raises:
            ValueError: As ``select``.
        """
        self.check_frames(cues.frames)
        return check_budget(budget, cues.n_tokens)

    @property
    def among_frames(self) -> bool:
        """Whether it chooses among the frames of a clip, which no choice in each frame can do."""
        return False

    def check_frames(self, frames: int, each: bool = False) -> None:
        """Refuse several frames if the method takes one, and frames one by one if it needs all.

        Args:
            frames: Of the clip.
            each: Whether the method chooses in each frame by itself.

        Raises:
            ValueError: Naming the method to take instead.
        """
        if frames > 1 and each and self.among_frames:
            raise ValueError(
                f"{self!r} chooses among the frames of a clip, and here each of {frames} keeps an "
                "equal part; let it choose among all (prune_point=V4, or frames=together)"
            )
        if frames > 1 and not each and self.video_substitute:
            raise ValueError(
                f"method {self.name!r} lays out the rows and columns of one image and cannot "
                f"choose among the tokens of {frames} frames; take "
                f"{self.video_substitute!r}, or select frame by frame"
            )

    def average_tokens(self, budget: int | float, sizes: ModelSizes) -> float:
        """Visual tokens that a layer of the language model processes, mean over its layers.

        Args:
            budget: Tokens to keep, or their share of all.
            sizes: Of the model.

        Raises:
            ValueError: If the method cannot meet the budget in a model of these sizes; the message
                names the smallest possible one.
        """
        return float(check_budget(budget, sizes.n_tokens))

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What keeps a serving engine from using the method; empty if nothing does.

        An engine fixes the number of visual tokens when a request comes in. The image encoder runs
        by itself and its tokens are cached for every later question. Attention kernels give no
        weights. So a method must do without the text, run at the encoder, keep an exact count and
        be flash-safe.

        Example:
            >>> from litelvlm.pruning import get_pruner
            >>> get_pruner("divprune").obstacles, get_pruner("litelvlm").obstacles
            ((), ('reads the text',))
        """
        found = {
            "reads the text": self.text_guided,
            "reads the true mask": bool(self.needs & TRUTH),
            "runs the language model first": bool(self.needs & OF_LANGUAGE_MODEL),
            "acts inside the language model": self.stage == "llm",
            "keeps its count as an average over layers": self.stage == "llm",
            "is not flash-safe": not self.flash_safe,
        }
        return tuple(reason for reason, holds in found.items() if holds)

    @property
    def deployable(self) -> bool:
        """Whether a serving engine can use the method: it has no ``obstacles``."""
        return not self.obstacles

    def config(self) -> dict[str, object]:
        """Name and fields as plain data, from which ``get_pruner`` builds an equal method."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {"name": self.name} | {
            k: v.config() if isinstance(v, Pruner) else v for k, v in values.items()
        }


@dataclass(frozen=True, kw_only=True)
class ScorePruner(Pruner):
    """A method that keeps the tokens with the highest score, in raster order."""

    @abstractmethod
    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """Score of every token; higher is kept."""

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Keep the ``budget`` highest scores.

        Raises:
            ValueError: If there is not one real number per token.
        """
        scores = self.score(cues)
        shape = list(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        if shape != [cues.n_tokens] or scores.is_complex():
            raise ValueError(
                f"score must return a tensor of {cues.n_tokens} real numbers, one per token in "
                f"raster order; got {shape}"
            )
        return RawSelection(ascending(highest(scores, budget)))
