"""LiteLVLM against index lists recorded from its official code.

The classes are stock CLIP with small random weights.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel

from litelvlm.pruning import (
    Cues,
    context_scores,
    get_pruner,
    stable_order,
    text_similarity,
)

FOLDER = Path(__file__).parents[1] / "fixtures" / "parity" / "pruner"
SETUP = json.loads((FOLDER / "index.json").read_text())["setups"][0]
CASES = [case["key"] for case in SETUP["cases"]]


@pytest.fixture(scope="module")
def recorded():
    return load_file(FOLDER / "seed0_cases.safetensors")


@pytest.fixture(scope="module")
@torch.no_grad()
def image(recorded):
    """Cues of the one image, from the library's own CLIP."""
    clip = CLIPModel(CLIPConfig(**SETUP["clip_config"])).eval()
    clip.load_state_dict(load_file(FOLDER / "seed0_clip.safetensors"), strict=False)
    vision = clip.vision_model
    hidden = vision(recorded["pixel_values"], output_hidden_states=True).hidden_states[-2]
    assert torch.allclose(hidden, recorded["hidden_m2"], atol=1e-4)
    last = vision.encoder.layers[-1]
    normed, attention = last.layer_norm1(hidden)[0], last.self_attn
    return {
        "patch_tokens": hidden[0, 1:],
        "patch_embeds": clip.visual_projection(vision.post_layernorm(hidden[0, 1:])),
        "query": attention.q_proj(normed[0]),
        "keys": attention.k_proj(normed[1:]),
        "values": attention.v_proj(normed[1:]),
    }


def cues(image, recorded, n_texts: int) -> Cues:
    return Cues.from_tensors(text_embeds=recorded[f"text_embeds.T{n_texts}"], **image)


@pytest.mark.parametrize("case", CASES)
def test_same_tokens_in_the_same_order(image, recorded, case):
    n_texts, budget = (int(part[1:]) for part in case.split("."))
    selection = get_pruner("litelvlm").select(cues(image, recorded, n_texts), budget)
    assert selection.indices.tolist() == recorded[f"{case}.retained_idx"].tolist()
    similar = [
        i
        for i, role in zip(selection.indices.tolist(), selection.roles, strict=True)
        if role == "similarity"
    ]
    assert similar == recorded[f"{case}.sim_idx"].tolist()
    features = image["patch_tokens"][selection.indices]
    assert torch.allclose(features, recorded[f"{case}.features"][0], atol=1e-4)


@pytest.mark.parametrize("n_texts", [1, 2, 3])
def test_scores(image, recorded, n_texts):
    given = cues(image, recorded, n_texts)
    assert torch.allclose(text_similarity(given), recorded[f"similarities.T{n_texts}"], atol=5e-4)
    ours = context_scores(given)
    assert torch.allclose(ours, recorded["ctx_scores"], atol=2e-6)
    assert stable_order(ours, descending=True).tolist() == recorded["ctx_order"].tolist()
