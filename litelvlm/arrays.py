"""The type of a NumPy array, whatever its numbers are.

jaxtyping's brackets around it state the kind of numbers and the shape; `make shapes` checks both.
"""

from typing import Any, TypeAlias

from numpy.typing import NDArray

# NumPy types the numbers of an array as Any unless one kind is named; the brackets name the kind.
Array: TypeAlias = NDArray[Any]  # type: ignore[explicit-any]
