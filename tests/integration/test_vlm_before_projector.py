"""Families whose tokens are pruned before the projector: Llama 4."""

import pytest
import torch

from litelvlm import prune
from litelvlm.models.vlm.families import VLM_FAMILIES
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm

BEFORE = [name for name, family in VLM_FAMILIES.items() if family.projector]


def test_a_family_with_states_of_its_tower_names_its_projector():
    states = [name for name, family in VLM_FAMILIES.items() if family.field != "pooler_output"]
    assert states == BEFORE == ["llama4"]


@torch.no_grad()
@pytest.mark.parametrize("name", BEFORE)
def test_projected_tokens_are_those_that_the_language_model_reads(name):
    model, inputs = tiny_vlm(name), tiny_prompt(name, (2,))
    read = []
    handle = model.language_model.register_forward_pre_hook(
        lambda module, args, given: read.append(given["inputs_embeds"]), with_kwargs=True
    )
    model(**inputs)
    handle.remove()
    columns = (inputs["input_ids"][0] == model.config.image_token_id).nonzero().flatten()
    found = prune(model, "divprune", 4).cues(**inputs)
    assert [cues.patch_tokens.shape for cues in found] == [(16, 48)] * 2
    assert torch.equal(torch.cat([cues.projected for cues in found]), read[0][0, columns])


@torch.no_grad()
@pytest.mark.parametrize("name", BEFORE)
def test_words_are_compared_with_tokens_behind_the_projector(name):
    model, inputs = tiny_vlm(name), tiny_prompt(name)
    pruned = prune(model, "input_similarity", 4)
    pruned.forward(**inputs)
    item = pruned.last.slots[0].item
    words = model.get_input_embeddings()(inputs["input_ids"][0, int(item.columns[-1]) + 1 :])
    projected = model.get_submodule(VLM_FAMILIES[name].projector)(item.features)
    cosine = torch.cosine_similarity(projected, words.mean(dim=0)[None])
    expected = cosine.topk(4).indices.sort().values
    assert pruned.last.selections[0].indices.tolist() == expected.tolist()
    given = prune(model, "input_similarity", 4).cues(**inputs)[0]
    assert torch.allclose(given.input_similarity, cosine, atol=1e-6)
