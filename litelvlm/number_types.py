"""Number types that models run in, by name."""

import torch

from litelvlm.names import check_name

NUMBER_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def number_type(dtype: str | torch.dtype | None, fallback: str = "float32") -> torch.dtype:
    """The torch number type of a name.

    Args:
        dtype: A name, a torch number type, or None.
        fallback: Name that None stands for.

    Raises:
        ValueError: If it is not one that the models run in.

    Example:
        >>> number_type("bfloat16"), number_type(None)
        (torch.bfloat16, torch.float32)
    """
    if isinstance(dtype, torch.dtype):
        dtype = str(dtype).removeprefix("torch.")
    return NUMBER_TYPES[check_name(dtype or fallback, NUMBER_TYPES, "number type")]
