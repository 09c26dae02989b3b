"""The types of NumPy arrays; jaxtyping's brackets around them state the numbers and the shape.

`make shapes` checks both. They are written out because ``numpy.typing.NDArray`` is a `type` alias
in NumPy 2.5, which jaxtyping 0.3.11 cannot read.
"""

from typing import Any, TypeAlias, TypeVar

import numpy as np

# NumPy types the scalars of an array as Any.
Kind = TypeVar("Kind", bound=np.generic)  # type: ignore[explicit-any]

# The brackets state the shape, so NumPy's own type leaves it open.
NDArray: TypeAlias = np.ndarray[tuple[Any, ...], np.dtype[Kind]]  # type: ignore[explicit-any]
"""An array of one kind of numbers, of any shape."""

# NumPy types the numbers of an array as Any unless one kind is named; the brackets name the kind.
Array: TypeAlias = NDArray[Any]  # type: ignore[explicit-any]
