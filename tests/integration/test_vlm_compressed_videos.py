"""Videos of VideoLLaMA 3, whose processor says which of their tokens enter the prompt."""

import pytest
import torch

from benchmarks.vlm_proof import ALL, masked_difference
from litelvlm import get_pruner, prune
from litelvlm.layout import Layout
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm
from tests.tiny_vlms.table import VIDEO

NAME, MASK = "video_llama_3", "video_compression_mask"
HOLES = (
    [True, False, True, True, False, True] + [False] * 6 + [True, True, False, True] + [True] * 2
)


@pytest.fixture(scope="module")
def model():
    return tiny_vlm(NAME)


def compressed(*masks, counts=(2,)):
    """A prompt with videos, and without the placeholders that masks drop."""
    given = tiny_prompt(NAME, counts, tuple(4 + 3 * n for n in range(len(counts))), video=True)
    mask = torch.tensor([stays for own in masks for stays in own])
    left = given["attention_mask"].bool()
    left[given["input_ids"] == VIDEO] = mask
    rows = [
        {key: given[key][n, left[n]] for key in ("input_ids", "attention_mask")}
        for n in range(len(counts))
    ]
    longest = max(len(row["input_ids"]) for row in rows)
    for key in ("input_ids", "attention_mask"):
        given[key] = torch.stack(
            [torch.cat([row[key].new_zeros(longest - len(row[key])), row[key]]) for row in rows]
        )
    return {**given, MASK: mask}


def with_an_image(given):
    """The same prompt behind one with an image."""
    image = tiny_prompt(NAME)
    both = {**image, **given}
    for key in ("input_ids", "attention_mask"):
        both[key] = torch.cat([image[key], given[key]], dim=1)
    return both


CALLS = {
    "every token": compressed([True] * 18, counts=(1,)),
    "holes": compressed(HOLES, counts=(1,)),
    "two videos": compressed(HOLES, [True] * 18),
    "two rows": compressed([True] * 18, HOLES, counts=(1, 1)),
    "an image, too": with_an_image(compressed(HOLES, [True] * 18)),
}


@torch.no_grad()
@pytest.mark.parametrize("given", CALLS.values(), ids=CALLS)
def test_all_tokens_that_a_mask_leaves_change_nothing(model, given):
    with prune(model, "none", ALL) as pruned:
        inside = model(**given).logits
        ids = model.generate(**given, max_new_tokens=2, do_sample=False)
    differences = (inside - model(**given).logits)[given["attention_mask"].bool()]
    # Unpruned, forward counts the positions of a padded row from its padding.
    assert differences.abs().max() <= (0 if len(ids) == 1 else 1e-6)
    assert torch.equal(ids, model.generate(**given, max_new_tokens=2, do_sample=False))
    assert sum(pruned.token_counts) == int((given["input_ids"] == VIDEO).sum()) + 12 * (
        "pixel_values" in given
    )


@torch.no_grad()
@pytest.mark.parametrize("name", ["every token", "holes", "two videos", "an image, too"])
def test_tokens_that_a_mask_leaves_are_pruned(model, name):
    """Dropping some of them equals masking them."""
    assert masked_difference(model, get_pruner("random", preset="gap"), CALLS[name]) <= 1e-6


def test_a_video_with_holes_is_one_row_of_tokens(model):
    pruned = prune(model, "divprune", 6)
    pruned.forward(**CALLS["two videos"])
    layouts = [entry.item.layout for entry in pruned.last.slots]
    assert layouts == [Layout(1, 1, sum(HOLES)), Layout(3, 2, 3)]
    assert pruned.token_counts == [6, 6]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(18), f"{MASK} must say True or False of each of the 18"),
        (torch.ones(17, dtype=torch.bool), r"18 visual tokens of all videos, \[18\] per video"),
        (torch.zeros(18, dtype=torch.bool), "drops every token of video 0; leave the video out"),
    ],
)
def test_masks_that_do_not_fit_are_refused(model, mask, message):
    with pytest.raises(ValueError, match=message):
        prune(model, "divprune", 6).forward(**{**CALLS["every token"], MASK: mask})
