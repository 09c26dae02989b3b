"""Limits of the length in the caller's own numbers, as errors and warnings tell them."""

import pytest
from transformers import GenerationConfig

from litelvlm import prune


@pytest.mark.parametrize("limit", [46, 12])
def test_limits_that_leave_no_room_are_told_in_the_callers_numbers(llava, one, limit):
    """In the library's own words."""
    words = f"Input length of input_ids is 46, but `max_length` is set to {limit}"
    config = GenerationConfig(max_length=limit, pad_token_id=0)
    for given in ({"max_length": limit}, {"generation_config": config}):
        for model in (llava, prune(llava, "divprune", 9)):
            with pytest.raises(ValueError, match=words):
                model.generate(**one, **given)


def test_limits_that_contradict_each_other_are_told_in_the_callers_numbers(llava, one):
    for model in (llava, prune(llava, "divprune", 9)):
        with pytest.warns(UserWarning, match=r"`min_length` \(60\) is larger than .* \(50\)"):
            model.generate(**one, max_length=50, min_length=60)
