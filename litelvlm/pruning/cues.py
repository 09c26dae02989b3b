"""What a method may know about one image and its texts; each cue is computed at its first use."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isqrt
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from litelvlm.layout import Layout
from litelvlm.names import unknown_name
from litelvlm.pruning.vit import CopiedVit, VitView


@dataclass(frozen=True)
class Cue:
    """One declared cue.

    Attributes:
        source: What it depends on: the "image" alone, the "text" as well, or the "truth" (only an
            annotated image has it).
        axes: A letter for each. N tokens (frames x rows x columns, raster order in each frame, CLS
            left out), T texts, D vision width, P joint width, E head width, d language-model width,
            L its layers, C colour channels.
        meaning: What it holds.
    """

    source: Literal["image", "text", "truth"]
    axes: str
    meaning: str

    @property
    def shape(self) -> str:
        """The axes in print: "[N, D]"."""
        return f"[{', '.join(self.axes)}]"


CUES: Mapping[str, Cue] = MappingProxyType(
    {
        "patch_tokens": Cue(
            "image", "ND", "patch states of CLIP's second-last layer: what the projector receives"
        ),
        "cls_token": Cue("image", "D", "CLS state of the second-last layer"),
        "patch_embeds": Cue(
            "image", "NP", "visual_projection(post_layernorm(patch_tokens)), not normalised"
        ),
        "value_path_embeds": Cue(
            "image", "NP", "patches as values of CLIP's last block (MaskCLIP)"
        ),
        "surgery_embeds": Cue("image", "NP", "patches by value-value attention (CLIP Surgery)"),
        "clear_clip_embeds": Cue("image", "NP", "patches by query-query attention (ClearCLIP)"),
        "text_embeds": Cue("text", "TP", "projected [EOS] state of each text, not normalised"),
        "query": Cue(
            "image", "D", "CLS row of the last block's query projection, heads joined, unscaled"
        ),
        "keys": Cue("image", "ND", "patch rows of the last block's key projection, heads joined"),
        "values": Cue(
            "image", "ND", "patch rows of the last block's value projection, heads joined"
        ),
        "cls_key": Cue("image", "D", "CLS row of the last block's key projection, heads joined"),
        "cls_attention": Cue(
            "image",
            "N",
            "attention of CLS to the patches in the second-last block, mean over heads",
        ),
        "keys_mean": Cue("image", "NE", "patch keys of the second-last block, mean over heads"),
        "key_norm": Cue(
            "image", "N", "length of each patch's key in the second-last block, heads joined"
        ),
        "projected": Cue(
            "image", "Nd", "projector(patch_tokens): what the language model would receive"
        ),
        "late_states": Cue(
            "image", "ND", "patch states of the last third of CLIP's layers, mean over them"
        ),
        "colours": Cue("image", "NC", "mean red, green and blue of each token's cell, 0 to 1"),
        "rotary_cosine": Cue(
            "image",
            "N",
            "mean cosine of the language model's rotary angles at each unpruned position",
        ),
        "rotary_sine": Cue(
            "image",
            "N",
            "mean sine of the language model's rotary angles at each unpruned position",
        ),
        "llm_attention": Cue(
            "text", "NL", "attention of the unpruned language model's [SEG] query, mean over heads"
        ),
        "llm_prompt_attention": Cue("text", "NL", "the same for the last token of the question"),
        "llm_gradient": Cue(
            "text", "Nd", "gradient of the unpruned mask's mean logit by the projected tokens"
        ),
        "block_importance": Cue(
            "text",
            "N",
            "fall of the unpruned mask's soft Dice without the token's block of the grid",
        ),
        "external_similarity": Cue(
            "text", "N", "similarity of each token's cell with the text in another model"
        ),
        "input_similarity": Cue(
            "text",
            "N",
            "cosine of each projected token with the mean embedding of the text after it",
        ),
        "received_attention": Cue(
            "image",
            "N",
            "attention each token receives in the image tower's last block, mean over heads",
        ),
        "tower_value_norm": Cue(
            "image",
            "N",
            "length of each token's value in the image tower's last block, heads joined",
        ),
        "coverage": Cue(
            "truth",
            "N",
            "share of each token's cell that the true mask covers, 0 to 1; for oracles only",
        ),
        "box": Cue(
            "truth", "N", "1 in the cells of the box around the true mask, else 0; for oracles only"
        ),
    }
)

# Cues that only an annotated image can give.
TRUTH = frozenset(name for name, cue in CUES.items() if cue.source == "truth")
# Cues that run the language model before anything is pruned.
OF_LANGUAGE_MODEL = frozenset(
    {"llm_attention", "llm_prompt_attention", "llm_gradient", "block_importance"}
)
# Cues of CLIP's joint space, which need both of its towers.
_READOUTS = ("value_path_embeds", "surgery_embeds", "clear_clip_embeds")
OF_CLIP = frozenset({"patch_embeds", "text_embeds", *_READOUTS})
# Cues that stand in for CLIP's similarity in models without its text tower.
SUBSTITUTES = frozenset(
    {"external_similarity", "input_similarity", "received_attention", "tower_value_norm"}
)
# Cues that are the same for every text about an image.
OF_IMAGE = frozenset(name for name, cue in CUES.items() if cue.source == "image")


class Cues:
    """Lazily evaluated named cues of one image and its texts.

    A method reads ``cues.get("keys")`` or ``cues.keys``; a source that is a function runs once, at
    the first reading.

    Args:
        sources: Cue name to tensor, or to a function without arguments that computes it.
        layout: How the tokens lie: (rows, columns) of an image, or a ``Layout``.
        key: Identity of the image, 0 or above, so that random methods draw the same tokens for it
            everywhere.
        vit: Gives the image tower itself, for methods of stage "vit", whose states depend on the
            budget.

    Raises:
        ValueError: If a name is not in ``CUES``, or the key is negative.

    Example:
        >>> cues = Cues.from_tensors(cls_attention=torch.tensor([0.1, 0.4, 0.2, 0.3]))
        >>> cues.grid, cues.n_tokens
        ((2, 2), 4)
    """

    def __init__(
        self,
        sources: Mapping[str, Tensor | Callable[[], Tensor]],
        layout: Layout | tuple[int, int],
        key: int = 0,
        vit: Callable[[], VitView] | None = None,
    ) -> None:
        for name in sources:
            if name not in CUES:
                raise unknown_name(name, CUES, "cue")
        if key < 0:
            raise ValueError(f"key {key} is negative; give the image's number, 0 or above")
        self.layout = layout if isinstance(layout, Layout) else Layout(1, *layout)
        self.key = key
        self._vit = vit
        self._sources = dict(sources)
        self._values: dict[str, Tensor] = {}
        self._float32: dict[str, Tensor] = {}
        self._derived: dict[Hashable, Tensor] = {}
        self._sizes: dict[str, tuple[int, str]] = {"N": (self.n_tokens, str(self.layout))}

    @classmethod
    def from_tensors(
        cls, layout: Layout | tuple[int, int] | None = None, key: int = 0, **cues: Tensor
    ) -> "Cues":
        """Drive a method from plain tensors, without a model.

        Args:
            layout: (rows, columns) of an image, or a ``Layout``; a square image when left out.
            key: Identity of the image.
            **cues: Tensors by cue name, as in ``CUES``.

        Raises:
            ValueError: If the layout is left out and does not follow from the tensors, or a name or
                shape is wrong.
        """
        if layout is None:
            counts = {
                len(tensor)
                for name, tensor in cues.items()
                if name in CUES and CUES[name].axes[0] == "N"
            }
            side = isqrt(min(counts, default=0))
            if len(counts) != 1 or side * side not in counts:
                raise ValueError(
                    f"the token grid does not follow from {sorted(counts)} tokens; "
                    "pass layout=(rows, columns)"
                )
            layout = (side, side)
        made = cls(cues, layout, key)
        for name in cues:
            made.get(name)
        return made

    def replaced(self, **cues: Tensor) -> "Cues":
        """The same image and texts with other values for some cues; computed ones are shared.

        Example:
            >>> cues = Cues.from_tensors(cls_attention=torch.tensor([0.1, 0.4, 0.2, 0.3]))
            >>> cues.replaced(cls_attention=torch.ones(4)).cls_attention.tolist()
            [1.0, 1.0, 1.0, 1.0]
        """
        sources = {**self._sources, **self._values, **cues}
        return Cues(sources, self.layout, self.key, self._vit)

    def copied(self) -> "Cues":
        """The same cues as copies, made when they are read, for a reader that may change them.

        Example:
            >>> cues = Cues.from_tensors(cls_attention=torch.ones(4))
            >>> cues.copied().cls_attention.mul_(0).sum().item(), cues.cls_attention.sum().item()
            (0.0, 4.0)
        """
        sources = {name: partial(lambda one: self.get(one).clone(), name) for name in self._sources}
        return Cues(sources, self.layout, self.key, self._vit and (lambda: CopiedVit(self.vit)))

    @property
    def grid(self) -> tuple[int, int]:
        """Token grid (rows, columns) of each frame."""
        return self.layout.grid

    @property
    def frames(self) -> int:
        """Frames of tokens; 1 for an image."""
        return self.layout.frames

    @property
    def n_tokens(self) -> int:
        """Tokens before pruning: frames x rows x columns."""
        return self.layout.n_tokens

    @property
    def vit(self) -> VitView:
        """The image on its way through the tower.

        Raises:
            ValueError: If it was not given.
        """
        if self._vit is None:
            raise ValueError(
                "a method inside the image tower needs the tower itself; pass vit=... to Cues"
            )
        return self._vit()

    def get(self, name: str) -> Tensor:
        """Return a cue in its own number type, computing it at the first call.

        Raises:
            ValueError: If the name is unknown, the cue was not given, or its shape is wrong.
        """
        if name not in CUES:
            raise unknown_name(name, CUES, "cue")
        if name not in self._values:
            if name not in self._sources:
                raise ValueError(
                    f"cue {name!r} {CUES[name].shape} is needed and was not given "
                    f"({CUES[name].meaning}); "
                    f"pass {name}=... to Cues.from_tensors, or a source for it to Cues"
                )
            source = self._sources[name]
            value = source if isinstance(source, Tensor) else source()
            self._check_shape(name, value)
            self._values[name] = value
        return self._values[name]

    def float32(self, name: str) -> Tensor:
        """Return a cue in float32, the number type of every score.

        Raises:
            ValueError: As ``get``, or if the cue holds NaN.
        """
        if name not in self._float32:
            value = self.get(name).float()
            if bool(torch.isnan(value).any()):
                raise ValueError(
                    f"cue {name!r} holds NaN; check the image and the number type it was "
                    "computed in"
                )
            self._float32[name] = value
        return self._float32[name]

    def derived(
        self,
        key: Hashable,
        compute: Callable[[], Tensor],
        enough: Callable[[Tensor], bool] = lambda known: True,
    ) -> Tensor:
        """Return what several methods or budgets compute from the same cues, computed once.

        Args:
            key: Names the computation with all its settings.
            compute: Computes it. Nobody may change the result in place.
            enough: Whether a known result serves; if not, a new one takes its place.
        """
        if key not in self._derived or not enough(self._derived[key]):
            self._derived[key] = compute()
        return self._derived[key]

    def __getattr__(self, name: str) -> Tensor:
        if name in CUES:
            return self.get(name)
        raise AttributeError(f"Cues has no attribute {name!r}; cues are {', '.join(CUES)}")

    def _check_shape(self, name: str, value: Tensor) -> None:
        """Refuse a tensor whose axes disagree with the table, the grid or an earlier cue."""
        axes = CUES[name].axes
        if value.ndim != len(axes):
            raise ValueError(
                f"cue {name!r} must have shape {CUES[name].shape} (one image), "
                f"got {list(value.shape)}"
            )
        for axis, size in zip(axes, value.shape, strict=True):
            expected, setter = self._sizes.setdefault(axis, (size, f"cue {name!r}"))
            if size != expected:
                raise ValueError(
                    f"cue {name!r} has {axis} = {size} in {list(value.shape)}, "
                    f"but {setter} has {expected}"
                )
            if size == 0:
                raise ValueError(f"cue {name!r} is empty: {CUES[name].shape} = {list(value.shape)}")
