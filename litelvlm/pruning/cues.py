"""What a method may know about one image and its texts; each cue is computed at its first use."""

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from math import isqrt

import torch
from torch import Tensor

from litelvlm.layout import Layout
from litelvlm.names import unknown_name
from litelvlm.pruning.cue_table import CUES
from litelvlm.pruning.vit import CopiedVit, VitView


def undeclared(name: str) -> Tensor:
    """Refuse to give a cue that a method does not name in ``needs``.

    Choices that read cues of the image alone are made once for all texts about it, so a cue of the
    text that nobody knows of would give every text the choice of the first one.
    """
    raise ValueError(
        f"cue {name!r} ({CUES[name].meaning}) is read and not named in needs; write "
        f'needs: ClassVar[frozenset[str]] = frozenset({{"{name}", ...}}) with every cue it reads'
    )


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

    def copied(self, needs: frozenset[str] | None = None) -> "Cues":
        """The same cues as copies, made when they are read, for a reader that may change them.

        Args:
            needs: Cues that the reader says it reads; any other is refused by name when it is read.
                All if left out.

        Example:
            >>> cues = Cues.from_tensors(cls_attention=torch.ones(4))
            >>> cues.copied().cls_attention.mul_(0).sum().item(), cues.cls_attention.sum().item()
            (0.0, 4.0)
        """
        sources = {
            name: partial(self._copy if needs is None or name in needs else undeclared, name)
            for name in self._sources
        }
        return Cues(sources, self.layout, self.key, self._vit and (lambda: CopiedVit(self.vit)))

    def _copy(self, name: str) -> Tensor:
        return self.get(name).clone()

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
