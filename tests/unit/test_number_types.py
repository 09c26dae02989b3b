"""Number types by name, and what is refused."""

import pytest
import torch

from litelvlm.number_types import number_type


@pytest.mark.parametrize("dtype", [torch.int8, torch.float64, "float8", torch.complex64])
def test_unknown_number_types_are_refused(dtype):
    with pytest.raises(ValueError, match=r"unknown number type .*bfloat16, float16, float32"):
        number_type(dtype)


def test_names_types_and_the_fallback():
    assert number_type(torch.float16) is torch.float16
    assert number_type("bfloat16", "float16") is torch.bfloat16
    assert number_type(None) is torch.float32
    assert number_type(None, "bfloat16") is torch.bfloat16
