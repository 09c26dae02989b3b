"""States that a caller can hand back: caches, masks and prompts of any kind.

Each call gives what it gives alone, or what the full model gives, or is refused by name.
"""

import copy

import pytest
import torch
from transformers import (
    Cache,
    DynamicCache,
    EncoderDecoderCache,
    GenerationConfig,
    StaticCache,
)
from transformers.cache_utils import QuantizedLayer

from benchmarks.vlm_proof import masked_difference
from litelvlm import get_pruner, prune
from tests.tiny_vlms.answers import METHODS, ORIGINAL, answer
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm


class Rounded(QuantizedLayer):
    """A quantised layer as the library has them: all but the newest keys are rounded."""

    def _quantize(self, tensor, axis):
        return (tensor * 16).round() / 16

    def _dequantize(self, tensor):
        return tensor


def quantised():
    return Cache(layers=[Rounded(residual_length=6) for _ in range(3)])


def static(llava):
    return StaticCache(config=llava.config.get_text_config(), max_cache_len=90)


@pytest.mark.parametrize(("method", "budget"), METHODS)
def test_quantised_caches_round_what_is_left(llava, one, method, budget):
    given = {**one, "max_new_tokens": 8, "do_sample": False}
    whole = llava.generate(**given, past_key_values=quantised())
    with prune(llava, method, 1 - 1e-9):
        assert torch.equal(llava.generate(**given, past_key_values=quantised()), whole)
    cache = quantised()
    with prune(llava, method, budget) as pruned:
        llava.generate(**given, past_key_values=cache)
    length = one["input_ids"].shape[1] - 36 + pruned.layer_counts[0][-1] + 7
    assert cache.layers[-1]._dequantize(cache.layers[-1]._quantized_keys).shape[2] <= length
    assert cache.get_seq_length(2) == length


def test_a_static_cache_of_the_caller(llava, one):
    given = {"disable_compile": True}
    assert answer(llava, one, past_key_values=static(llava), **given) == answer(llava, one)
    for call, given in (("forward", {}), ("generate", {"max_new_tokens": 2})):
        pruned = prune(llava, "fastv", 20)
        with pytest.raises(ValueError, match="a cache that grows"):
            getattr(pruned, call)(**one, **given, past_key_values=static(llava))


@torch.no_grad()
def test_going_on_behind_any_cache(llava, one):
    """A cache of the caller's, one that was returned, and one of a call that returns no names."""
    pruned, word = prune(llava, ORIGINAL, 9), torch.tensor([[7]])
    empty, fixed = DynamicCache(), static(llava)
    pruned.forward(**one, past_key_values=empty)
    pruned.forward(**one, past_key_values=fixed)
    named = pruned.forward(**one, use_cache=True).past_key_values
    nameless = pruned.forward(**one, use_cache=True, return_dict=False)
    (plain,) = [part for part in nameless if isinstance(part, Cache)]
    caches = [empty, fixed, named, plain, copy.deepcopy(named)]
    for _ in range(2):
        found = [pruned.forward(word, past_key_values=cache).logits for cache in caches]
        for logits in found[1:]:
            assert (logits - found[0]).abs().max() <= 1e-6


CHANGES = {
    "repeated": lambda cache: cache.batch_repeat_interleave(2),
    "chosen": lambda cache: cache.batch_select_indices(torch.tensor([1, 0])),
    "turned": lambda cache: cache.reorder_cache(torch.tensor([1, 0])),
    "cropped": lambda cache: cache.crop(-2),
}


@torch.no_grad()
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_cache_whose_rows_changed_is_refused(llava, batch, change):
    pruned = prune(llava, ORIGINAL, 9)
    cache = pruned.forward(**batch, use_cache=True).past_key_values
    change(cache)
    words = torch.full((len(cache.layers[0].keys), 1), 7)
    with pytest.raises(ValueError, match=r"were cropped, repeated or put into another order"):
        pruned.forward(words, past_key_values=cache)


def test_caches_that_a_call_filled_are_known_afterwards(llava, one):
    """Also where the call returned no cache, or failed half way."""

    def fail(ids, scores):
        raise RuntimeError("stopped")

    filled, broken, pruned = DynamicCache(), DynamicCache(), prune(llava, ORIGINAL, 9)
    ids = pruned.generate(**one, past_key_values=filled, max_new_tokens=2)
    with pytest.raises(RuntimeError, match="stopped"):
        pruned.generate(**one, past_key_values=broken, max_new_tokens=2, logits_processor=[fail])
    for cache in (filled, broken):
        with pytest.raises(ValueError, match="already holds"):
            pruned.generate(ids, past_key_values=cache, max_new_tokens=2)
    # A call that failed before it read anything leaves the cache for others.
    unread = DynamicCache()
    with pytest.raises(ValueError, match="budget 40"):
        prune(llava, ORIGINAL, 40).generate(**one, past_key_values=unread, max_new_tokens=2)
    words = torch.tensor([[1, 3, 4]])
    with torch.no_grad():
        read = pruned.forward(words, past_key_values=unread).logits
        assert torch.equal(read, llava(words).logits)
    assert "forward" not in llava.__dict__


@pytest.mark.parametrize(
    "cache", [EncoderDecoderCache(DynamicCache(), DynamicCache()), ((torch.ones(1),),)]
)
def test_caches_of_no_single_decoder_are_refused(llava, one, cache):
    for call in ("forward", "generate"):
        with pytest.raises(ValueError, match="give an empty DynamicCache"):
            getattr(prune(llava, "divprune", 9), call)(**one, past_key_values=cache)


@pytest.mark.parametrize("place", ["argument", "configuration", "the model's own"])
def test_generating_without_a_cache_between_layers_is_refused_wherever_it_is_set(
    llava, one, place, monkeypatch
):
    given = {"argument": {"use_cache": False}}.get(place, {})
    if place == "configuration":
        given["generation_config"] = GenerationConfig(use_cache=False, pad_token_id=0)
    if place == "the model's own":
        monkeypatch.setattr(llava.generation_config, "use_cache", False)
    with pytest.raises(ValueError, match="use_cache=True"):
        prune(llava, "fastv", 20).generate(**one, **given, max_new_tokens=2)


def test_padding_that_no_mask_tells_is_refused(llava, batch):
    """Here generate guesses a mask from the token of padding."""
    del batch["attention_mask"]
    with pytest.raises(ValueError, match=r"hold padding \(token 0\).*everything that the proc"):
        answer(llava, batch)
    # Where padding ends a text too, the library takes all for text, and so does a pruned call.
    ends = {"eos_token_id": [0, 99]}
    masked = {**batch, "attention_mask": torch.ones_like(batch["input_ids"])}
    assert answer(llava, batch, **ends) == answer(llava, masked, **ends)


def test_a_mask_with_a_gap(llava, one):
    """Generate counts positions without hidden tokens, as it does unpruned; forward counts them."""
    mask = torch.ones_like(one["input_ids"])
    mask[0, [1, -3]] = 0
    hidden = {**one, "attention_mask": mask}
    shown = {**one, "input_ids": one["input_ids"][mask.bool()][None]}
    del shown["attention_mask"]
    assert answer(llava, hidden) == answer(llava, shown)
    with pytest.raises(ValueError, match=r"hides tokens between others.*out of input_ids"):
        prune(llava, ORIGINAL, 9).forward(**hidden)
    four = torch.ones(1, 1, 46, 46, dtype=torch.bool)
    for call in ("forward", "generate"):
        with pytest.raises(ValueError, match=r"attention_mask must have the shape \[1, 46\]"):
            getattr(prune(llava, ORIGINAL, 9), call)(**{**one, "attention_mask": four})


PLACES = {
    "first": [*[90] * 36, 5, 6, 7],
    "last": [5, 6, *[90] * 36],
    "side by side": [5, *[90] * 72, 6],
    "alone": [90] * 36,
}


@torch.no_grad()
@pytest.mark.parametrize("ids", PLACES.values(), ids=PLACES)
def test_images_anywhere_in_a_prompt(llava, ids):
    ids, images = torch.tensor([ids]), (ids.count(90) // 36,)
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": tiny_prompt("llava", images)["pixel_values"],
    }
    if (ids != 90).any():
        assert masked_difference(llava, ORIGINAL, inputs) <= 1e-6
    pruned = prune(llava, ORIGINAL, 9)
    assert pruned.forward(**inputs).logits.shape[1] == ids.shape[1] - 27 * images[0]
    made = prune(llava, "divprune", 9).generate(**inputs, max_new_tokens=2)
    assert made.shape[1] == ids.shape[1] + 2
    if ids[0, -1] != 90:
        assert pruned.generate(**inputs, max_new_tokens=2).shape[1] == ids.shape[1] + 2
        return
    with pytest.raises(ValueError, match=r"ends with an image.*put text behind the image"):
        pruned.generate(**inputs, max_new_tokens=2)


@torch.no_grad()
@pytest.mark.parametrize("positions", ["contiguous", "original"])
def test_text_behind_a_cache_that_ends_with_an_image(llava, positions):
    new, method = torch.tensor([[7, 8, 9]]), get_pruner("uniform", positions=positions)
    start = tiny_prompt("llava", words=(0,))
    whole = start | {"input_ids": torch.cat([start["input_ids"], new], 1)}
    whole["attention_mask"] = torch.ones_like(whole["input_ids"])
    pruned = prune(llava, method, 6)
    cache = pruned.forward(**start, use_cache=True).past_key_values
    if positions == "original":
        with pytest.raises(ValueError, match=r"ends with an image.*give the whole conversation"):
            pruned.forward(input_ids=new, past_key_values=cache)
        return
    found = pruned.forward(input_ids=new, past_key_values=cache).logits
    assert (found - pruned.forward(**whole).logits[:, -3:]).abs().max() < 1e-6


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl"])
def test_what_follows_an_image_on_three_axes_needs_text_before_it(name):
    model, start = tiny_vlm(name), tiny_prompt(name, words=(0,))
    with pytest.raises(ValueError, match="ends with an image"):
        prune(model, "uniform", 0.5).generate(**start, max_new_tokens=2)
    given = {"max_new_tokens": 2, "do_sample": False}
    every = prune(model, "uniform", 1 - 1e-9).generate(**start, **given)
    assert torch.equal(every, model.generate(**start, **given))


@torch.no_grad()
@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "internvl"])
def test_a_gap_in_one_row_of_two(name):
    model, both = tiny_vlm(name), tiny_prompt(name, (1, 1), (6, 6))
    both["attention_mask"] = torch.ones_like(both["input_ids"])
    both["attention_mask"][0, [-4, -3]] = 0
    given = {"max_new_tokens": 3, "do_sample": False, "return_dict_in_generate": True}
    given["output_logits"] = True
    method, length = get_pruner("uniform", positions="original"), len(both["input_ids"][0])
    found = prune(model, method, 0.5).generate(**both, **given)
    images = {k: v for k, v in both.items() if v.shape[1:] != (length,)}
    for row in range(2):
        alone = {k: v[row : row + 1] for k, v in both.items() if k not in images}
        for key, value in images.items():
            alone[key] = value.reshape(2, len(value) // 2, *value.shape[1:])[row]
        expected = prune(model, method, 0.5).generate(**alone, **given)
        for both_rows, one_row in zip(found["logits"], expected["logits"], strict=True):
            assert (both_rows[row] - one_row[0]).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "qwen2_5_vl", "internvl", "gemma3"])
@pytest.mark.parametrize("method", ["divprune", "fastv"])
def test_a_row_of_text_alone(name, method):
    """It is as long as the other row, so that layers keep as many columns as the prompt has."""
    if (name, method) == ("gemma3", "fastv"):
        return
    model, image = tiny_vlm(name), tiny_prompt(name, (1,), (9,))
    length, words = image["input_ids"].shape[1], [1, 3, 4, 8, 9]
    columns = [key for key, value in image.items() if value.shape[1:] == (length,)]
    both = image | {key: torch.cat([image[key], image[key] * 0]) for key in columns}
    both["input_ids"][1, -5:] = torch.tensor(words)
    both["attention_mask"][1, -5:] = 1
    text = {key: both[key][1:, -5:] for key in columns}
    given = {"max_new_tokens": 3, "return_dict_in_generate": True, "output_logits": True}
    pruned = prune(model, method, 0.5)
    alone = [pruned.generate(**image, **given), model.generate(**text, **given)]
    found = torch.stack(list(pruned.generate(**both, **given)["logits"]), dim=1)
    for row, out in zip(found, alone, strict=True):
        assert (row - torch.stack(list(out["logits"]), dim=1)[0]).abs().max() <= 1e-6


def test_arguments_by_place(llava, one):
    config = GenerationConfig(max_new_tokens=3, pad_token_id=0, do_sample=False)
    expected = answer(llava, one, max_new_tokens=3)
    with prune(llava, ORIGINAL, 9) as pruned:
        by_name = llava(**one).logits
        assert torch.equal(llava(one["input_ids"], one["pixel_values"]).logits, by_name)
        out = llava.generate(one["input_ids"], config, pixel_values=one["pixel_values"])
        assert pruned.token_counts == [9]
        with pytest.raises(TypeError, match="multiple values for argument 'pixel_values'"):
            llava(one["input_ids"], one["pixel_values"], pixel_values=one["pixel_values"])
    assert out[:, 46:].tolist() == expected


def test_states_and_scores_are_those_of_the_tokens_that_were_read(llava, one):
    given = {"max_new_tokens": 2, "return_dict_in_generate": True, "output_scores": True}
    states = prune(llava, "fastv", 20).generate(**one, **given, output_hidden_states=True)
    kept = len(one["input_ids"][0]) - 36 + 12
    assert [s.shape[1] for s in states["hidden_states"][0]] == [46, 46, kept, kept]
    found = prune(llava, ORIGINAL, 9).generate(**one, **given, num_beams=2, length_penalty=1.0)
    each = llava.compute_transition_scores(
        found["sequences"], found["scores"], found["beam_indices"], normalize_logits=False
    )
    assert torch.allclose(each.sum(dim=1) / 2, found["sequences_scores"], atol=1e-6)
