"""Every argument that transformers knows is decided, and every family generates in every mode."""

import inspect
import re
from pathlib import Path

import pytest
import torch
import transformers
from transformers import GenerationConfig

from litelvlm import get_pruner, prune
from litelvlm.models.vlm import arguments
from litelvlm.models.vlm.families import BIDIRECTIONAL, VLM_FAMILIES
from litelvlm.models.vlm.network import PIXELS
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm
from tests.tiny_vlms.table import TINY

CORE = ("llava", "qwen2_vl", "qwen2_5_vl", "internvl", "smolvlm", "paligemma", "gemma3")
ROOT = Path(__file__).parents[2]
GRIDS = ("glm4v", "qwen3_vl", "llama4", "llava_next")
"""Families whose images the library expands in ways of their own."""


def parameters(method):
    """Names of a method's parameters, without what it passes on."""
    return set(inspect.signature(method).parameters) - {"self", "kwargs"}


def forward_of(name):
    stem = TINY[name].stem
    return getattr(transformers, f"{stem}ForConditionalGeneration").forward


@pytest.mark.parametrize("name", VLM_FAMILIES)
def test_every_argument_of_forward_is_decided(name):
    taken = parameters(forward_of(name))
    assert taken - arguments.FORWARD == set()
    pixels = {argument for argument in taken if argument.startswith("pixel_values")}
    assert pixels <= {argument for names in PIXELS.values() for argument in names}


def test_every_argument_and_setting_of_generate_is_decided():
    fields = {field for field in vars(GenerationConfig()) if not field.startswith("_")}
    assert fields - arguments.GENERATE == set()
    assert parameters(transformers.GenerationMixin.generate) - arguments.GENERATE == set()


def test_every_list_names_what_some_release_takes():
    """An argument that no family takes any more has no place in a list."""
    taken = set().union(*(parameters(forward_of(name)) for name in VLM_FAMILIES))
    keywords = {"num_items_in_batch", "output_attentions", "output_hidden_states", "return_dict"}
    assert arguments.FORWARD - taken - keywords == set()


def test_the_page_tells_of_every_argument_and_names_tests_that_exist():
    page = (ROOT / "docs" / "any-vlm.md").read_text(encoding="utf-8")
    table = page[page.index("## Every argument of a call") : page.index("## Families\n")]
    named = set(re.findall(r"`(\w+)", table))
    assert (arguments.FORWARD | arguments.GENERATE) - named == set()
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_vlm_*.py"))
    lines = [
        line for line in table.splitlines() if line.startswith("| ") and "| test |" not in line
    ]
    for line in lines:
        found = re.findall(r"`(test_\w+)`", line)
        assert found, line
        assert all(f"def {test}(" in tests for test in found), line


def test_what_is_in_no_list_is_refused_by_name(monkeypatch):
    llava, one = tiny_vlm("llava"), tiny_prompt("llava")
    for name in ("cu_seq_lens_q", "cache_position", "shift_labels", "is_causal"):
        with pytest.raises(ValueError, match=f"^{name} is not known.*leave {name} out"):
            prune(llava, "divprune", 9).forward(**one, **{name: torch.ones(1)})
    with pytest.raises(ValueError, match="max_new_token is not known"):
        prune(llava, "divprune", 9).generate(**one, max_new_token=3)
    # A setting of a later release of transformers, in the model's own configuration.
    monkeypatch.setattr(arguments, "GENERATE", arguments.GENERATE - {"top_h"})
    assert prune(llava, "divprune", 9).generate(**one, max_new_tokens=1).shape[0] == 1
    monkeypatch.setattr(llava.generation_config, "top_h", 0.5)
    with pytest.raises(ValueError, match="top_h is not known"):
        prune(llava, "divprune", 9).generate(**one, max_new_tokens=1)


def logits_of(model, inputs, method, **given):
    """Logits of three new tokens [rows, steps, words]."""
    torch.manual_seed(0)
    with prune(model, method, 0.5):
        out = model.generate(
            **inputs,
            **{"do_sample": False, "max_new_tokens": 3, **given},
            return_dict_in_generate=True,
            output_logits=True,
        )
    return torch.stack(list(out["logits"]), dim=1)


def batch_of(name):
    """Two prompts: two images and one, where the family takes rows of different counts."""
    counts = (1, 1) if name in ("idefics2", "idefics3", "smolvlm") else (2, 1)
    return tiny_prompt(name, counts, (4, 9))


@pytest.mark.parametrize("name", [*CORE, *GRIDS])
@pytest.mark.parametrize("positions", ["contiguous", "original"])
def test_several_sequences_of_a_prompt_read_its_own_images(name, positions):
    model, inputs = tiny_vlm(name), batch_of(name)
    pruner = get_pruner("divprune", positions=positions)
    first = logits_of(model, inputs, pruner)[:, :1].repeat_interleave(2, dim=0)
    for given in ({"do_sample": True, "num_return_sequences": 2}, {"num_beams": 2}):
        found = logits_of(model, inputs, pruner, **given)[:, :1]
        assert (found - first).abs().max() <= 1e-6


VIDEOS = ("qwen2_vl", "qwen3_vl", "llava_onevision", "video_llama_3", "glm4v")


@pytest.mark.parametrize("name", VIDEOS)
def test_several_sequences_of_a_prompt_read_its_own_videos(name):
    model, inputs = tiny_vlm(name), tiny_prompt(name, (2, 1), (4, 9), video=True)
    first = logits_of(model, inputs, "divprune")[:, :1].repeat_interleave(2, dim=0)
    for given in ({"do_sample": True, "num_return_sequences": 2}, {"num_beams": 2}):
        found = logits_of(model, inputs, "divprune", **given)[:, :1]
        assert (found - first).abs().max() <= 1e-6


def test_types_of_tokens_that_a_model_does_not_need_change_nothing():
    """Processors return them on request."""
    model, one = tiny_vlm("llava"), tiny_prompt("llava")
    types = (one["input_ids"] == model.config.image_token_id).long()
    pruned = prune(model, "divprune", 9)
    with torch.no_grad():
        marked = pruned.forward(**one, mm_token_type_ids=types).logits
        assert torch.equal(marked, pruned.forward(**one).logits)


@pytest.mark.parametrize("name", CORE)
@pytest.mark.parametrize(
    "given",
    [
        {"use_cache": False},
        {"cache_implementation": "static", "disable_compile": True},
        {"cache_implementation": "sliding_window", "disable_compile": True},
        {"cache_implementation": "hybrid", "disable_compile": True},
        {"cache_implementation": "static", "max_cache_len": 90, "disable_compile": True},
        {"prefill_chunk_size": 5},
    ],
    ids=["no cache", "static", "sliding", "hybrid", "static of a length", "pieces"],
)
def test_caches_and_pieces_change_no_number(name, given):
    model, inputs = tiny_vlm(name), batch_of(name)
    pruner = get_pruner("divprune", positions="original")
    if "prefill_chunk_size" in given and BIDIRECTIONAL & set(VLM_FAMILIES[name].special):
        with pytest.raises(ValueError, match=f"pieces, and in {name} tokens that"):
            logits_of(model, inputs, pruner, **given)
        return
    difference = logits_of(model, inputs, pruner, **given) - logits_of(model, inputs, pruner)
    assert difference.abs().max() <= 1e-6


def test_pieces_of_images_before_their_projector_are_refused():
    with pytest.raises(ValueError, match="llama4 the library cannot cut the images"):
        logits_of(tiny_vlm("llama4"), batch_of("llama4"), "divprune", prefill_chunk_size=5)


def test_tokens_that_see_those_behind_them_are_not_drafted():
    """In PaliGemma the library's own answer changes with an assistant."""
    model, one = tiny_vlm("paligemma"), tiny_prompt("paligemma")
    for drafts in ({"assistant_model": tiny_vlm("paligemma")}, {"prompt_lookup_num_tokens": 3}):
        with pytest.raises(ValueError, match=f"{next(iter(drafts))}.* in paligemma tokens that"):
            prune(model, "divprune", 0.5).generate(**one, max_new_tokens=2, **drafts)


@pytest.mark.parametrize("name", [name for name in CORE if name != "paligemma"])
def test_assistants_draft_and_change_no_answer(name):
    model, one = tiny_vlm(name), tiny_prompt(name)
    pruned = prune(model, get_pruner("divprune", positions="original"), 0.5)
    given = {**one, "max_new_tokens": 5, "do_sample": False}
    plain = pruned.generate(**given)
    # Another model, the same model inside its own call, and the prompt itself.
    for drafts in ({"assistant_model": tiny_vlm(name)}, {"assistant_model": model}):
        assert torch.equal(pruned.generate(**given, **drafts), plain)
        with pruned:
            assert torch.equal(model.generate(**given, **drafts), plain)
    assert torch.equal(pruned.generate(**given, prompt_lookup_num_tokens=3), plain)


@pytest.mark.parametrize("name", CORE)
@pytest.mark.parametrize("positions", ["contiguous", "original"])
def test_padding_on_the_right_changes_no_number_of_forward(name, positions):
    model, batch = tiny_vlm(name), tiny_prompt(name, (1, 1), (4, 9))
    shape, n = batch["input_ids"].shape, int(batch["attention_mask"][0].sum())
    turned = dict(batch)
    for key, value in batch.items():
        if value.shape == shape:
            row = torch.cat([value[0, -n:], value[0, :-n]])
            turned[key] = torch.stack([row, value[1]])
    pruned = prune(model, "divprune", 0.5, positions=positions)
    with torch.no_grad():
        right, left = pruned.forward(**turned).logits, pruned.forward(**batch).logits
    real = len(pruned.last.prompt.columns[0])
    assert (right[0, :real] - left[0, -real:]).abs().max() <= 1e-6
    assert (right[1] - left[1]).abs().max() <= 1e-6


@pytest.mark.parametrize("name", CORE)
def test_half_precision_and_autocast_are_the_models_own(name):
    inputs = tiny_prompt(name)
    half, full = tiny_vlm(name).to(torch.bfloat16), tiny_vlm(name)
    with torch.no_grad():
        kept = prune(half, "none", 1 - 1e-9).forward(**inputs).logits
        assert torch.equal(kept, half(**inputs).logits)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            kept = prune(full, "none", 1 - 1e-9).forward(**inputs).logits
            assert torch.equal(kept, full(**inputs).logits)
            pruned = prune(full, "divprune", 0.5).forward(**inputs).logits
    assert pruned.dtype == torch.bfloat16
    assert logits_of(full, inputs, "divprune").dtype == torch.float32


def test_methods_between_layers_read_images_without_ends_of_lines():
    for name in ("llava_next", "mistral3"):
        with pytest.raises(ValueError, match=r"not next to each other.* fastv .*method that acts"):
            prune(tiny_vlm(name), "fastv", 0.5).forward(**tiny_prompt(name))


def test_a_method_that_watches_the_tower_reads_the_layer_of_the_call():
    model, inputs = tiny_vlm("llava"), tiny_prompt("llava")
    pruned, chosen = prune(model, "received_attention", 9), []
    for layer in (-2, -3):
        pruned.forward(**inputs, vision_feature_layer=layer)
        chosen.append(pruned.last.selections[0].indices.tolist())
    model.config.vision_feature_layer = -3
    pruned.forward(**inputs)
    assert pruned.last.selections[0].indices.tolist() == chosen[1]
    assert chosen[0] != chosen[1]
