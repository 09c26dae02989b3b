"""Visual tokens dropped between the layers of a decoder, by hooks that last for one call."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import get_ident

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from litelvlm.models.vlm.layers.rows import ImageState, numbered, query_columns
from litelvlm.models.vlm.shorten import padded
from litelvlm.models.vlm_base.layer_view import Decoder, DecoderView
from litelvlm.pruning.layers.base import LayerPlan


def cut_mask(
    mask: Tensor | None, queries: Int[Tensor, "b q"], keys: Int[Tensor, "b k"], kernel: str
) -> Tensor | None:
    """Cut a mask to the columns of the prompt that a layer still processes.

    Args:
        mask: What the full prompt has: boolean or additive [b or 1, 1, s, s], or None where the
            kernel makes its own causal mask.
        queries: Columns of the tokens that attend, ascending; -1 for padding that was added.
        keys: Columns of the tokens that are attended to, likewise.
        kernel: Name of the attention implementation.

    Returns:
        The cut mask [b, 1, q, k], or None where the kernel's own is right.

    Raises:
        ValueError: If rows of a batch keep different numbers of tokens, or have padding, under a
            kernel that takes no such mask.
    """
    added = keys < 0
    if mask is not None and mask.ndim != 4:
        raise ValueError(
            f"kernel {kernel!r} reads a batch with padding by a mask of another form, which cannot "
            "be cut between the layers; give one row at a time, or load the model with "
            "attn_implementation='sdpa'"
        )
    if mask is None and not bool(added.any()):
        return None
    if mask is None:
        allowed = keys[:, None, :] <= queries[:, :, None]
        if kernel != "sdpa" and kernel != "eager":
            raise ValueError(
                f"rows of this batch keep different numbers of tokens, which kernel {kernel!r} "
                "cannot mask; give one row at a time, or load the model with "
                "attn_implementation='sdpa'"
            )
        full = allowed[:, None]
        if kernel == "eager":
            full = torch.zeros(full.shape, device=keys.device).masked_fill(
                ~full, torch.finfo(torch.float32).min
            )
    else:
        rows = torch.arange(len(keys), device=keys.device)[:, None, None]
        wide = mask.expand(len(keys), -1, -1, -1)[:, 0]
        last = wide.shape[1] - 1
        # A later pass has one query, whatever its column.
        lines = queries.clamp(min=0) if last else torch.zeros_like(queries)
        full = wide[rows, lines[:, :, None], keys.clamp(min=0)[:, None, :]][:, None]
    hidden = added[:, None, None, :].expand_as(full)
    if full.dtype == torch.bool:
        full = full & ~hidden
        # A query without any key would be NaN; nobody reads those of added padding.
        return full | (queries < 0)[:, None, :, None]
    full = full.masked_fill(hidden, torch.finfo(full.dtype).min)
    return full.masked_fill((queries < 0)[:, None, :, None], 0.0)


Arguments = tuple[object, ...]
Options = dict[str, object]


@dataclass(frozen=True, eq=False)
class Stage:
    """What layers between two drops process.

    Attributes:
        columns: Columns of the prompt [b, w], ascending; -1 for padding that was added.
        positions: Their positions [axes, b, w].
        rotary: Cosine and sine of these.
    """

    columns: Int[Tensor, "b w"]
    positions: Int[Tensor, "axes b w"]
    rotary: tuple[Tensor, Tensor]


class LayerDrops:
    """Drops visual tokens before the layers of a decoder, and remembers which are left.

    The first pass over a prompt ranks and drops. Later passes bring new tokens; every layer then
    attends to the keys that it kept.

    Args:
        decoder: The language model.
        kernel: Name of its attention implementation.
        plans: For each image, its row of the batch, the columns of its tokens and what to drop.
        positions: Position of every token of the prompt [axes, b, s].
        mask: 1 for a token, 0 for padding [b, s].
        text: Where the prompt holds text, so neither padding nor tokens of images [b, s].

    Raises:
        ValueError: If a budget is impossible in this model.
    """

    def __init__(
        self,
        decoder: Decoder,
        kernel: str,
        plans: Sequence[tuple[int, Int[Tensor, "_"], LayerPlan]],
        positions: Int[Tensor, "axes b s"],
        mask: Shaped[Tensor, "b s"],
        text: Bool[Tensor, "b s"],
    ) -> None:
        self.decoder, self.kernel = decoder, kernel
        self.positions, self.mask, self.text = positions, mask.bool(), text
        self.plans = plans
        self.images = self._images()
        self.stages: list[Stage] = []
        self._whole: Stage | None = None
        self._thread = get_ident()
        self.past, self.copies = 0, 1
        self._later: dict[int, tuple[Tensor, Tensor]] = {}

    def _images(self) -> list[ImageState]:
        """Images of which nothing is dropped."""
        depth = len(self.decoder.layers)
        return [ImageState.of(*one, depth) for one in self.plans]

    @contextmanager
    def hooked(self) -> Iterator["LayerDrops"]:
        """Install the hooks; they are gone afterwards."""
        handles = [
            layer.register_forward_pre_hook(self._hook(index), with_kwargs=True)
            for index, layer in enumerate(self.decoder.layers)
        ]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _hook(
        self, index: int
    ) -> Callable[[nn.Module, Arguments, Options], tuple[Arguments, Options]]:
        """The hook of one layer."""

        def before(
            layer: nn.Module, given: Arguments, options: Options
        ) -> tuple[Arguments, Options]:
            if get_ident() != self._thread:  # another call of the same model
                return given, options
            states = given[0] if given else options["hidden_states"]
            if not isinstance(states, Tensor):
                raise ValueError("the decoder's layers must be given a tensor of states")
            if index == 0:
                cache = options.get("past_key_values")
                if getattr(cache, "is_compileable", False):
                    raise ValueError(
                        "layers that keep different tokens need a cache that grows; leave out "
                        "cache_implementation='static'"
                    )
                self.past = int(cache.get_seq_length()) if cache is not None else 0  # type: ignore[attr-defined]
                self._later = {}
                if self.past == 0:
                    self._begin(states)
            if self.past == 0:
                states = self._enter(index, states)
                changed = self._first_options(index, states, options)
            else:
                changed = self._later_options(index, states, options)
            if given:
                return (states, *given[1:]), changed
            return (), {**changed, "hidden_states": states}

        return before

    def _begin(self, states: Float[Tensor, "b s d"]) -> None:
        """Every token is left; find the query tokens."""
        self.copies, self.images = len(states) // len(self.mask), self._images()
        everything = torch.arange(states.shape[1], device=states.device)
        self._whole = self._stage(everything.expand(len(self.mask), -1), states[:: self.copies])
        self.stages = [self._whole]
        for image in self.images:
            text = self.text[image.row].nonzero().flatten()
            which, own = image.plan.pruner.effective_query_token, states[image.row * self.copies]
            image.queries = query_columns(which, image.columns, text, own)

    def _stage(self, columns: Int[Tensor, "b w"], states: Float[Tensor, "b w d"]) -> Stage:
        """Positions of the tokens that are left, and their rotary angles."""
        positions = numbered(self.positions, self.mask, columns, self.images)
        return Stage(columns, positions, self._rotary(states, positions))

    def _rotary(
        self, states: Float[Tensor, "b w d"], positions: Int[Tensor, "axes b w"]
    ) -> tuple[Tensor, Tensor]:
        """Cosine and sine [b, w, e] of positions."""
        given = positions[0] if len(positions) == 1 else positions
        cos, sin = self.decoder.rotary_emb(states, position_ids=given)
        return cos, sin

    def _enter(self, index: int, states: Float[Tensor, "b s d"]) -> Float[Tensor, "b s2 d"]:
        """Drop tokens before a layer."""
        stage = self.stages[-1]
        dropping = [image for image in self.images if image.drops_before(index)]
        for image in dropping:
            image.drop(index, self._view(index, image, states, stage))
        if dropping:
            left = [self._left(row, stage.columns.device) for row in range(len(self.mask))]
            columns = padded(left, -1, right=False)
            places = torch.searchsorted(stage.columns.contiguous(), columns.clamp(min=0))
            places = places.repeat_interleave(self.copies, dim=0)
            rows = torch.arange(len(states), device=states.device)[:, None]
            states = states[rows, places]
            stage = self._stage(columns, states[:: self.copies])
        self.stages = [*self.stages[:index], stage]
        for image in self.images:
            image.enter(index, partial(self._view, index, image, states, stage))
        return states

    def _left(self, row: int, device: torch.device) -> Int[Tensor, "r"]:
        """Columns of one row that are left."""
        left = torch.ones(self.mask.shape[1], dtype=torch.bool, device=device)
        for image in self.images:
            if image.row == row:
                left[image.columns] = False
                left[image.left] = True
        return left.nonzero().flatten()

    def _view(self, index: int, image: ImageState, states: Tensor, stage: Stage) -> DecoderView:
        """A row at a layer without padding."""
        row, columns = image.row, stage.columns[image.row]
        real = (columns >= 0) & self.mask[row, columns.clamp(min=0)]
        cos, sin = (part.expand(len(stage.columns), -1, -1)[row, real] for part in stage.rotary)
        own = states[row * self.copies, real]
        return image.view(self.decoder, index, own, (cos, sin), columns[real])

    def _first_options(self, index: int, states: Tensor, options: Options) -> Options:
        """Mask and angles of a layer in the pass over the prompt."""
        stage = self.stages[index]
        if stage is self._whole:
            return options
        columns = stage.columns.repeat_interleave(self.copies, dim=0)
        return self._replaced(options, columns, columns, stage.positions, stage.rotary)

    def _later_options(self, index: int, states: Tensor, options: Options) -> Options:
        """Mask and angles of a layer for new tokens."""
        stage = self.stages[index]
        new = states.shape[1]
        behind = torch.arange(self.mask.shape[1], self.past + new, device=states.device)
        columns = stage.columns.repeat_interleave(self.copies, dim=0)
        keys = torch.cat([columns, behind.expand(len(columns), -1)], dim=1)
        made = self.past - self.mask.shape[1]
        steps = made + 1 + torch.arange(new, device=states.device)
        positions = stage.positions[:, :, -1:] + steps
        if id(stage) not in self._later:
            self._later[id(stage)] = self._rotary(states[:: self.copies], positions)
        queries = behind[-new:].expand(len(columns), -1)
        return self._replaced(options, queries, keys, positions, self._later[id(stage)])

    def _replaced(
        self,
        options: Options,
        queries: Int[Tensor, "b q"],
        keys: Int[Tensor, "b k"],
        positions: Int[Tensor, "axes rows q"],
        rotary: tuple[Tensor, Tensor],
    ) -> Options:
        """The options of a layer for some of the tokens."""
        mask = options.get("attention_mask")
        if mask is not None and not isinstance(mask, Tensor):
            raise ValueError("this attention kernel masks in its own way; load with 'sdpa'")
        cos, sin = (part.repeat_interleave(self.copies, dim=0) for part in rotary)
        changed = {
            **options,
            "attention_mask": cut_mask(mask, queries, keys, self.kernel),
            "position_embeddings": (cos, sin),
        }
        if isinstance(options.get("position_ids"), Tensor):
            changed["position_ids"] = positions[0].repeat_interleave(self.copies, dim=0)
        return changed
