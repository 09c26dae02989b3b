"""Selections that no text changes are made once per image, and only those."""

import pytest
import torch

from litelvlm import get_pruner
from litelvlm.analysis.studies.sweep.passes import Chosen
from litelvlm.pruning import Cues, list_pruners
from litelvlm.pruning.cue_table import CUES, OF_IMAGE, TRUTH


def cues(text):
    """One image of nine tokens under a text: only the text's embedding and its object differ."""
    states = torch.arange(36.0).reshape(9, 4).sin()
    covered = torch.zeros(9)
    covered[text] = 1.0
    return Cues.from_tensors(
        patch_tokens=states,
        patch_embeds=states,
        values=states,
        text_embeds=states[[text]],
        coverage=covered,
    )


@pytest.mark.parametrize("method", ["uniform", "value_norm", "random", "avgpool"])
def test_a_method_without_text_chooses_once_for_all_texts(method):
    chosen, pruner = Chosen(), get_pruner(method)
    first = chosen(pruner, cues(0), 4)
    assert chosen(pruner, cues(5), 4) is first
    assert first.indices.tolist() == pruner.select(cues(5), 4).indices.tolist()
    assert len(chosen(pruner, cues(5), 2)) == 2


def test_seeds_of_one_method_stay_apart():
    chosen = Chosen()
    drawn = [
        chosen(get_pruner("random", seed=seed), cues(0), 4).indices.tolist() for seed in range(5)
    ]
    assert drawn == [
        get_pruner("random", seed=seed).select(cues(0), 4).indices.tolist() for seed in range(5)
    ]
    assert len(set(map(tuple, drawn))) > 1


@pytest.mark.parametrize("method", ["high_similarity", "mask_oracle"])
def test_a_method_with_text_or_truth_chooses_for_each(method):
    chosen, pruner = Chosen(), get_pruner(method)
    found = [chosen(pruner, cues(text), 1).indices.tolist() for text in (0, 5)]
    assert found == [pruner.select(cues(text), 1).indices.tolist() for text in (0, 5)]
    assert found[0] != found[1]


def test_what_reads_the_text_says_so():
    assert set(CUES) > OF_IMAGE
    assert not OF_IMAGE & TRUTH
    for name, method in list_pruners().items():
        if method.stage != "llm" and "text_embeds" in method.needs:
            assert method.text_guided, name
