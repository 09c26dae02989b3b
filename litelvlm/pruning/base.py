"""What a pruning method is, and what it returns."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.names import check_name
from litelvlm.pruning.budgets import check_budget
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.origin import OURS, Origin
from litelvlm.pruning.positions import Order, Positions, output_order, sequence_positions
from litelvlm.pruning.ranking import ascending, highest


@dataclass(frozen=True, eq=False)
class RawSelection:
    """What a method chose, in its own order, before order and positions are settled.

    Attributes:
        indices: Raster indices, -1 for synthetic tokens.
        places: Raster index each token stands for; None when every token is a kept one.
        tokens: Merged tokens; None when every output token is a plain row of the patch tokens.
        source: Merge weights that made ``tokens`` from the patch tokens.
        roles: One word per token.
        sizes: Patches that the language model's attention should count each token for; None leaves
            it alone.
    """

    indices: Int[Tensor, "r"]
    places: Int[Tensor, "r"] | None = None
    tokens: Float[Tensor, "r d"] | None = None
    source: Float[Tensor, "r n"] | None = None
    roles: tuple[str, ...] | None = None
    sizes: Float[Tensor, "r"] | None = None


@dataclass(frozen=True, eq=False)
class Selection:
    """The visual tokens the language model gets.

    Attributes:
        indices: Kept raster indices in output order. A merged token has the index of its
            destination, a synthetic one (CLS, a mean of what was dropped, a pooled cell) has -1.
        n_tokens: Tokens before pruning.
        positions: Position of each output token relative to the first visual one.
        span: Positions the image block takes for the text behind it.
        tokens: Output tokens, in the language model's input space at stage "post_projector", else
            in that of the patch tokens; None when they are plain rows of them.
        source: Merge weights; ``source @ patch_tokens`` (``source @ projected`` after the
            projector) is ``tokens``, except for the row of role "cls", which is zero because CLS is
            no mixture of patches. At stage "vit" blocks follow the merges, so the weights tell the
            members of a token but do not reproduce it.
        roles: Why each token is there ("similarity", "context", "merged", "cls" ...); None when all
            are plainly kept.
        sizes: Patches that the language model's attention counts each token for (see
            ``litelvlm.models.glamm.language.calibration``); None leaves the attention as it is.
        stage: Stage of the method.
    """

    indices: Int[Tensor, "r"]
    n_tokens: int
    positions: Int[Tensor, "r"]
    span: int
    tokens: Float[Tensor, "r d"] | None = None
    source: Float[Tensor, "r n"] | None = None
    roles: tuple[str, ...] | None = None
    sizes: Float[Tensor, "r"] | None = None
    stage: str = "pre_projector"

    @classmethod
    def from_choice(
        cls,
        choice: RawSelection,
        n_tokens: int,
        order: Order = "native",
        positions: Positions = "contiguous",
        stage: str = "pre_projector",
    ) -> "Selection":
        """Settle order and positions of a choice (see ``litelvlm.pruning.positions``)."""
        places = choice.indices if choice.places is None else choice.places
        turn = output_order(places, order)
        offsets, span = sequence_positions(places[turn], n_tokens, positions)
        return cls(
            indices=choice.indices[turn],
            n_tokens=n_tokens,
            positions=offsets,
            span=span,
            tokens=None if choice.tokens is None else choice.tokens[turn],
            source=None if choice.source is None else choice.source[turn],
            roles=None if choice.roles is None else tuple(choice.roles[i] for i in turn.tolist()),
            sizes=None if choice.sizes is None else choice.sizes[turn],
            stage=stage,
        )

    @classmethod
    def from_indices(
        cls,
        indices: Int[Tensor, "r"],
        n_tokens: int,
        order: Order = "native",
        positions: Positions = "contiguous",
    ) -> "Selection":
        """Selection of given tokens, for studies that choose them by other means than a method.

        Raises:
            ValueError: If there is none, one is out of range, or one occurs twice.

        Example:
            >>> Selection.from_indices(torch.tensor([7, 2]), 9, positions="original").positions.tolist()
            [7, 2]
        """
        check_budget(len(indices), n_tokens)
        if (
            int(indices.min()) < 0
            or int(indices.max()) >= n_tokens
            or len(torch.unique(indices)) != len(indices)
        ):
            raise ValueError(
                f"indices must be different whole numbers from 0 to {n_tokens - 1}, got {indices.tolist()}"
            )
        return cls.from_choice(RawSelection(indices), n_tokens, order, positions)

    def __len__(self) -> int:
        """Tokens the language model gets."""
        return len(self.indices)


@dataclass(frozen=True, kw_only=True)
class Pruner(ABC):
    """A method that chooses which visual tokens the language model gets.

    A method is a frozen dataclass whose fields are its options, so ``str(pruner)`` is its
    provenance; it implements ``choose``. Defaults are what the released code does.

    Attributes:
        order: "native": as the method's released code emits them; "raster": by place in the image.
        positions: "contiguous", "original" or "stretch" (see ``litelvlm.pruning.positions``).
        name: Name in the table of methods.
        summary: One line for lists and tables.
        needs: Cues that some setting of the fields may read.
        stage: Where it sits: "vit" (between blocks of the image tower), "pre_projector",
            "post_projector" or "llm".
        text_guided: Its choice depends on the text.
        native_order: Order of ``order="native"``, in words.
        flash_safe: It runs with attention kernels that give no weights and take no additive bias.
        origin: Paper, licence of the official code, and confidence.
        synthetic: It may emit tokens that are no plain patch tokens. Such a method keeps every
            token as it is when the budget is all of them, since there is nothing to merge.
        presets: Named sets of fields that differ from the defaults, next to "faithful", which is
            the defaults, and "gap", which every method has (see ``get_pruner``). "fixed" guards the
            quirks of a released code, in raster order; "paper" follows the paper where its code
            does not.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    stage: ClassVar[str] = "pre_projector"
    text_guided: ClassVar[bool] = False
    native_order: ClassVar[str] = "raster"
    flash_safe: ClassVar[bool] = True
    origin: ClassVar[Origin] = OURS
    synthetic: ClassVar[bool] = False
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    order: Order = "native"
    positions: Positions = "contiguous"

    def __post_init__(self) -> None:
        self.check_options({entry.name: getattr(self, entry.name) for entry in fields(self)})

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> None:
        """Refuse a field value that its annotation does not allow.

        Raises:
            ValueError: Naming the field, the value and what is allowed.
        """
        hints = get_type_hints(cls)
        for name, value in options.items():
            if get_origin(hints[name]) is Literal:
                check_choice(value, get_args(hints[name]), name)
            else:
                check_number(value, get_args(hints[name]) or (hints[name],), name)

    def select(self, cues: Cues, budget: int | float) -> Selection:
        """Choose exactly ``budget`` tokens.

        Args:
            cues: What the method may know.
            budget: Tokens to keep, or their share of all as a number strictly between 0 and 1.

        Raises:
            ValueError: If the budget is not a whole number from 1 to the number of tokens nor a
                share that keeps one, or a cue is missing.
        """
        count = check_budget(budget, cues.n_tokens)
        nothing_to_merge = self.synthetic and count == cues.n_tokens
        choice = RawSelection(torch.arange(count)) if nothing_to_merge else self.choose(cues, count)
        return self.settle(choice, cues.n_tokens)

    def select_batch(self, batch: Sequence[Cues], budget: int | float) -> list[Selection]:
        """Choose exactly ``budget`` tokens of each of several images; the selections are those of single calls.

        Cues stay per image, so images may have different numbers of texts and nothing is padded.
        What a tower computed
        is kept by its ``Cues``: several methods and budgets on one list run the towers once.
        Ranking by a score is a few operations per image; methods whose steps follow one upon
        another take each step for all images at once where that is faster (see ``GreedyPruner``).

        Raises:
            ValueError: As ``select``.
        """
        return [self.select(cues, budget) for cues in batch]

    def settle(self, choice: RawSelection, n_tokens: int) -> Selection:
        """Order and positions of a choice, as the fields say."""
        return Selection.from_choice(choice, n_tokens, self.order, self.positions, self.stage)

    @abstractmethod
    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """The method itself; ``budget`` is already checked."""

    def config(self) -> dict[str, Any]:
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
        """Keep the ``budget`` highest scores."""
        return RawSelection(ascending(highest(self.score(cues), budget)))


def check_choice(value: object, allowed: tuple[object, ...], what: str) -> None:
    """Refuse a value outside a closed set of options.

    Raises:
        ValueError: Naming the value and the options.
    """
    if isinstance(value, str) and all(isinstance(option, str) for option in allowed):
        check_name(value, [str(option) for option in allowed], what)
    if value not in allowed:
        raise ValueError(
            f"{what} {value!r} is not allowed; choose from {', '.join(map(repr, allowed))}"
        )


def check_number(value: object, kinds: tuple[type, ...], what: str) -> None:
    """Refuse a value that is not of one of the number types ``kinds`` (``NoneType`` counts); other fields pass.

    Raises:
        ValueError: Naming the value and the types.
    """
    names = {int: "a whole number", float: "a number", type(None): "None"}
    if not set(kinds) <= set(names):
        return
    accepted = tuple({int: Integral, float: Real}.get(kind, kind) for kind in kinds)
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise ValueError(
            f"{what} {value!r} is not allowed; give {' or '.join(names[kind] for kind in kinds)}"
        )
