"""Cues: computed once, when asked; wrong names and shapes are refused with the way out."""

import copy

import pytest
import torch

from litelvlm.models.vlm.cues import missing
from litelvlm.pruning import Cues


def test_a_source_runs_once_and_only_when_asked():
    calls = []

    def attention() -> torch.Tensor:
        calls.append(1)
        return torch.arange(4.0)

    cues = Cues({"cls_attention": attention, "patch_tokens": lambda: 1 / 0}, layout=(2, 2), key=7)
    assert calls == []
    assert cues.get("cls_attention") is cues.cls_attention
    assert calls == [1]
    assert (cues.n_tokens, cues.key) == (4, 7)


def test_missing_cue_names_itself_and_the_fix():
    cues = Cues.from_tensors(cls_attention=torch.zeros(4))
    with pytest.raises(
        ValueError, match=r"cue 'coverage' \[N\] is needed and was not given .* pass coverage="
    ):
        cues.get("coverage")


def test_a_cue_that_another_family_lacks_is_refused_in_words_for_python_and_the_command_line():
    with pytest.raises(ValueError, match="which this model cannot give for image 1") as refused:
        missing("text_embeds", "image 1")()
    message = str(refused.value)
    assert message.endswith(
        "(clip= and text= of `prune`; --clip on the command line, for LLaVA-1.5)"
    )
    assert "in Python alone, 'external_similarity' with scores=" in message


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown cue 'patch_token'; did you mean 'patch_tokens'"):
        Cues({"patch_token": torch.zeros(4, 2)}, layout=(2, 2))
    cues = Cues.from_tensors(cls_attention=torch.zeros(4))
    with pytest.raises(ValueError, match="unknown cue 'value'"):
        cues.get("value")
    with pytest.raises(AttributeError, match="no attribute 'value'"):
        _ = cues.value


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"cls_attention": torch.zeros(5)}, "N = 5 .* 2 x 2 grid has 4"),
        ({"patch_tokens": torch.zeros(1, 4, 2)}, r"shape \[N, D\] \(one image\), got \[1, 4, 2\]"),
        (
            {"patch_embeds": torch.zeros(4, 3), "text_embeds": torch.zeros(2, 5)},
            "P = 5 .* 'patch_embeds' has 3",
        ),
        ({"text_embeds": torch.zeros(0, 5)}, "'text_embeds' is empty"),
    ],
)
def test_wrong_shapes(tensors, words):
    with pytest.raises(ValueError, match=words):
        Cues.from_tensors(layout=(2, 2), **tensors)


def test_grid_is_told_from_square_counts_only():
    assert Cues.from_tensors(patch_tokens=torch.zeros(9, 2)).grid == (3, 3)
    for tensors in ({"patch_tokens": torch.zeros(6, 2)}, {"text_embeds": torch.zeros(1, 2)}):
        with pytest.raises(ValueError, match="pass layout="):
            Cues.from_tensors(**tensors)


def test_bad_grid_and_key():
    with pytest.raises(ValueError, match="no tokens"):
        Cues({}, layout=(0, 4))
    with pytest.raises(ValueError, match="key -1 is negative"):
        Cues({}, layout=(2, 2), key=-1)


def test_float32_refuses_nan():
    cues = Cues.from_tensors(cls_attention=torch.tensor([0.0, float("nan"), 0.0, 0.0]).half())
    with pytest.raises(ValueError, match="'cls_attention' holds NaN"):
        cues.float32("cls_attention")


def test_cues_can_be_copied():
    cues = Cues.from_tensors(cls_attention=torch.arange(4.0))
    assert copy.copy(cues).cls_attention.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_what_is_derived_from_cues_is_computed_once_per_setting():
    cues, made = Cues.from_tensors(colours=torch.ones(4, 3)), []

    def computed(value, length=1):
        made.append(value)
        return torch.full((length,), float(value))

    assert cues.derived(("sum", 1), lambda: computed(1)).tolist() == [1]
    assert cues.derived(("sum", 1), lambda: computed(2)).tolist() == [1]
    assert cues.derived(("sum", 2), lambda: computed(3)).tolist() == [3]
    longer = cues.derived(("sum", 1), lambda: computed(4, 2), lambda known: len(known) >= 2)
    assert longer.tolist() == [4, 4]
    assert made == [1, 3, 4]
    # Other cues, other results.
    other = cues.replaced(colours=torch.zeros(4, 3))
    assert other.derived(("sum", 1), lambda: computed(5)).tolist() == [5]
