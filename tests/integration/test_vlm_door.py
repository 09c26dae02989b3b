"""The front door: budgets, positions, what comes back, and clear refusals."""

from dataclasses import dataclass, replace

import pytest
import torch
import transformers

from litelvlm import get_pruner, prune
from litelvlm.layout import Layout
from litelvlm.models.vlm import network
from litelvlm.models.vlm.shorten import full_positions
from litelvlm.pruning import Pruner, RawSelection, list_pruners
from tests.tiny_vlms.models import random_weights, tiny_prompt, tiny_vlm
from tests.tiny_vlms.table import IMAGE, TINY


def logits(model, inputs):
    with torch.no_grad():
        return model(**inputs)["logits"]


def test_the_model_is_as_before_behind_the_context_manager(llava):
    inputs = tiny_prompt("llava")
    before, attributes = logits(llava, inputs), set(llava.__dict__)
    with prune(llava, "divprune", 0.25) as pruned:
        inside = logits(llava, inputs)
        assert inside.shape[1] == before.shape[1] - 27
        assert pruned.token_counts == [9]
        with pytest.raises(ValueError, match="pruned already"), prune(llava, "random", 4):
            pass
    assert torch.equal(logits(llava, inputs), before)
    assert set(llava.__dict__) == attributes
    with pytest.raises(ZeroDivisionError), prune(llava, "divprune", 0.25):
        raise ZeroDivisionError
    assert torch.equal(logits(llava, inputs), before)


def test_a_method_that_the_user_replaced_comes_back(llava):
    own = llava.forward
    llava.forward = own
    with prune(llava, "divprune", 0.25):
        assert llava.forward is not own
    assert llava.__dict__.pop("forward") is own


def test_generate_returns_the_full_prompt_and_the_answer(llava):
    inputs = tiny_prompt("llava", (1, 1), (4, 9))
    with prune(llava, "random", 12):
        ids = llava.generate(**inputs, max_new_tokens=5, do_sample=False)
        several = llava.generate(**inputs, max_new_tokens=5, num_beams=2, num_return_sequences=2)
    length = inputs["input_ids"].shape[1]
    assert ids.shape == (2, length + 5)
    assert torch.equal(ids[:, :length], inputs["input_ids"])
    assert torch.equal(several[:, :length], inputs["input_ids"].repeat_interleave(2, dim=0))


@pytest.mark.parametrize("entered", [True, False])
def test_generating_without_a_cache_sees_the_same_tokens(llava, entered):
    """Without a cache and a mask the library would take a gap in the positions for a new prompt."""
    inputs = tiny_prompt("llava")
    options = {"max_new_tokens": 3, "return_dict_in_generate": True, "output_logits": True}
    pruned, found = prune(llava, "random", 9, positions="original"), []
    for use_cache in (True, False):
        if entered:
            with pruned:
                out = llava.generate(**inputs, **options, use_cache=use_cache)
        else:
            out = pruned.generate(**inputs, **options, use_cache=use_cache)
        found.append(torch.cat(list(out["logits"])))
    assert (found[0] - found[1]).abs().max() <= 1e-6
    assert "forward" not in llava.__dict__


def test_limits_count_the_full_prompt(llava):
    inputs = tiny_prompt("llava")
    length = inputs["input_ids"].shape[1]
    ids = prune(llava, "random", 9).generate(**inputs, max_length=length + 3)
    assert ids.shape == (1, length + 3)
    assert prune(llava, "random", 9).layer_counts == []


def test_images_and_videos_in_one_prompt():
    model = tiny_vlm("qwen2_vl")
    image, video = tiny_prompt("qwen2_vl"), tiny_prompt("qwen2_vl", video=True)
    inputs = {key: value for pair in (image, video) for key, value in pair.items()}
    for key in ("input_ids", "attention_mask", "mm_token_type_ids"):
        inputs[key] = torch.cat([image[key], video[key]], dim=1)
    same = prune(model, "none", 1 - 1e-9)
    with torch.no_grad():
        assert torch.equal(same.forward(**inputs)["logits"], model(**inputs)["logits"])
    pruned = prune(model, "random", 4)
    pruned.generate(**inputs, max_new_tokens=2)
    assert pruned.token_counts == [4, 4]
    assert pruned.layer_counts == [[4] * 3] * 2


def test_the_wrapper_answers_as_the_context_manager_does(llava):
    inputs = tiny_prompt("llava")
    pruned = prune(llava, "divprune", 9)
    alone = pruned.generate(**inputs, max_new_tokens=4)
    by_position = pruned.generate(
        inputs["input_ids"], pixel_values=inputs["pixel_values"], max_new_tokens=4
    )
    with pruned:
        inside = llava.generate(**inputs, max_new_tokens=4)
    assert torch.equal(alone, inside)
    assert torch.equal(alone, by_position)


def test_text_without_images_is_left_alone(llava):
    inputs = {"input_ids": torch.tensor([[1, 3, 4, 5]])}
    plain = logits(llava, inputs)
    with prune(llava, "divprune", 0.25):
        assert torch.equal(logits(llava, inputs), plain)
        assert llava.generate(**inputs, max_new_tokens=2).shape == (1, 6)


def test_budgets_are_per_image(llava):
    inputs = tiny_prompt("llava", (2, 1), (4, 4))
    for budget, expected in ((5, [5, 5, 5]), (0.5, [18, 18, 18])):
        pruned = prune(llava, "random", budget)
        pruned.forward(**inputs)
        assert pruned.token_counts == expected


def test_images_of_a_row_are_chosen_apart_and_alike_in_any_batch(llava):
    inputs = tiny_prompt("llava", (2, 1), (4, 4))
    pruned = prune(llava, "random", 5)
    pruned.forward(**inputs)
    first, second, third = (s.indices.tolist() for s in pruned.last.selections)
    assert first != second
    assert first == third


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_positions(name):
    model, inputs = tiny_vlm(name), tiny_prompt(name)
    full = full_positions(model, inputs, inputs["attention_mask"])[:, 0]
    found = {}
    for policy in ("contiguous", "original", "stretch"):
        pruned = prune(model, get_pruner("random"), 5, positions=policy)
        pruned.forward(**inputs)
        found[policy] = pruned.last.prompt.position_ids[:, 0]
        entry = pruned.last.slots[0]
    kept = pruned.last.prompt.columns[0]
    assert torch.equal(found["original"], full[:, kept])
    n_text = len(kept) - 5
    text = torch.isin(kept, entry.item.columns).logical_not()
    assert int(text.sum()) == n_text
    assert torch.equal(found["stretch"][:, text], full[:, kept[text]])
    ends = entry.item.columns[[0, -1]]
    assert torch.equal(found["stretch"][:, ~text][:, [0, -1]], full[:, ends])
    if name == "llava":
        assert found["contiguous"][0].tolist() == list(range(len(kept)))
    else:
        image = found["contiguous"][:, ~text]
        for axis in image - image.amin(dim=1, keepdim=True):
            assert axis.unique().tolist() == list(range(int(axis.max()) + 1))
        behind = found["contiguous"][:, kept > ends[1]]
        assert int(behind[0, 0]) == int(image.max()) + 1
        assert behind.diff(dim=1).unique().tolist() == [1]


@dataclass(frozen=True, kw_only=True)
class Backwards(Pruner):
    """The last tokens, last first."""

    name = "backwards"
    title = "backwards"
    summary = "the last tokens, last first"
    native_order = "backwards"

    def choose(self, cues, budget):
        return RawSelection(torch.arange(cues.n_tokens - 1, cues.n_tokens - 1 - budget, -1))


def test_a_methods_own_order_is_kept(llava):
    """Features come in the method's order; positions follow the token, or the place in line."""
    inputs = tiny_prompt("llava")
    item = None
    for policy, steps in (("original", -1), ("contiguous", 1)):
        pruned = prune(llava, Backwards(), 3, positions=policy)
        pruned.forward(**inputs)
        item = pruned.last.slots[0].item
        output = pruned.last.arguments["mm_encoder_outputs"]["image"]
        assert torch.equal(output.pooler_output[0], item.features[[35, 34, 33]])
        visual = torch.isin(pruned.last.prompt.columns[0], item.columns)
        positions = pruned.last.prompt.position_ids[0, 0, visual]
        assert positions.diff().tolist() == [steps, steps]
    raster = prune(llava, Backwards(order="raster"), 3)
    raster.forward(**inputs)
    output = raster.last.arguments["mm_encoder_outputs"]["image"]
    assert torch.equal(output.pooler_output[0], item.features[[33, 34, 35]])


def test_merged_tokens_are_mixtures_of_visual_tokens(llava):
    inputs = tiny_prompt("llava")
    pruned = prune(llava, "avgpool", 9)
    pruned.forward(**inputs)
    entry = pruned.last.slots[0]
    cells = entry.item.features.unflatten(0, (3, 2, 3, 2)).mean(dim=(1, 3)).flatten(0, 1)
    assert torch.allclose(entry.take(entry.item.features), cells, atol=1e-6)
    assert len(entry.columns) == 9


def test_ends_of_lines_stay():
    model, inputs = tiny_vlm("llava_next"), tiny_prompt("llava_next")
    pruned = prune(model, "random", 10)
    pruned.forward(**inputs)
    assert len(pruned.last.selections[0]) == 10
    assert pruned.token_counts == [10 + 12]


def test_deepstack_features_are_cut_alike():
    model, inputs = tiny_vlm("qwen3_vl"), tiny_prompt("qwen3_vl")
    pruned = prune(model, "random", 5)
    pruned.forward(**inputs)
    output = pruned.last.arguments["mm_encoder_outputs"]["image"]
    assert [len(layer[0]) for layer in output.deepstack_features] == [5, 5]


def test_videos_are_chosen_in_each_frame_or_together():
    model, inputs = tiny_vlm("qwen2_vl"), tiny_prompt("qwen2_vl", video=True)
    each = prune(model, "uniform", 7)
    each.forward(**inputs)
    frames = each.last.selections[0].indices // 6
    assert frames.bincount().tolist() == [3, 2, 2]
    drawn = prune(model, "random", 9)
    drawn.forward(**inputs)
    cells = (drawn.last.selections[0].indices % 6).split(3)
    assert len({tuple(cell.tolist()) for cell in cells}) > 1  # not the same spots in every frame
    together = prune(model, "random", 9, frames="together")
    together.forward(**inputs)
    assert together.token_counts == [9]
    with pytest.raises(ValueError, match="avgpool on video 0: method 'avgpool' lays out the rows"):
        prune(model, "avgpool", 9, frames="together").forward(**inputs)
    first = get_pruner("uniform", frames="first")
    with pytest.raises(ValueError, match="here each of 3 keeps an equal part"):
        prune(model, first, 9).forward(**inputs)


def test_a_budget_counts_all_frames_also_where_the_encoder_gives_each_apart():
    model, inputs = tiny_vlm("video_llava"), tiny_prompt("video_llava", (2,), video=True)
    each = prune(model, "divprune", 16)
    each.forward(**inputs)
    assert each.token_counts == [16, 16]
    for selection in each.last.selections:
        assert (selection.indices // 37).bincount().tolist() == [2] * 8
    together = prune(model, "divprune", 100, frames="together")
    together.forward(**inputs)
    assert together.token_counts == [100, 100]
    assert together.cues(**inputs)[0].layout == Layout(8, 1, 37)


@pytest.mark.parametrize("name", ["llava_next", "llava_next_video", "llava_onevision"])
def test_tiles_whose_tokens_are_a_square_number_are_no_square(name):
    """6 x 6 tokens of the whole image and 6 x 18 of its three parts are 12 x 12."""
    family = TINY[name]
    more = {**family.more, "image_grid_pinpoints": [[24, 72], [72, 24]]}
    model = random_weights(replace(family, more=more).build(), 0)
    images = {"pixel_values": torch.zeros(1, 4, 3, 24, 24), "image_sizes": torch.tensor([[24, 72]])}
    encoded = model.model.get_image_features(**images, return_dict=True).pooler_output[0]
    ids = torch.tensor([[1, *[IMAGE] * len(encoded), 6, 7]])
    (cues,) = prune(model, "uniform", 9).cues(input_ids=ids, **images)
    assert cues.layout == Layout(1, 1, 144)


def test_budget_too_small_for_a_temporal_group():
    model, inputs = tiny_vlm("qwen2_vl"), tiny_prompt("qwen2_vl", video=True)
    with pytest.raises(
        ValueError, match="random on video 0: budget 2 is too small for 3 temporal groups"
    ):
        prune(model, "random", 2).forward(**inputs)
    with pytest.raises(ValueError, match=r"frame \d of 3 keeps no token"):
        prune(model, "random", 2, frames="together").forward(**inputs)


def test_every_method_before_the_language_model_works_or_is_refused_by_name(llava):
    inputs = tiny_prompt("llava")
    worked, refused = set(), {}
    for name, cls in list_pruners().items():
        if "llm" in cls.stage or name in ("none", "layer_reverse"):
            continue
        try:
            pruned = prune(llava, name, 9)
            pruned.forward(**inputs)
        except ValueError as error:
            refused[name] = str(error)
        else:
            worked.add(name)
            assert pruned.token_counts == [9]
    assert worked >= {"divprune", "random", "uniform", "avgpool", "bilinear", "evtp_iv_like"}
    # What a watched tower of CLIP shows is enough for these.
    assert worked >= {"scope", "prumerge_plus", "value_norm", "ivc_add_on"}
    for name, message in refused.items():
        assert name in message
    assert "text_embeds" in refused["high_similarity"]
    assert "input_similarity" in refused["high_similarity"]


def test_input_similarity_is_the_cosine_with_the_text_behind(llava):
    inputs = tiny_prompt("llava")
    pruned = prune(llava, "input_similarity", 9)
    pruned.forward(**inputs)
    item = pruned.last.slots[0].item
    words = llava.get_input_embeddings()(inputs["input_ids"][0, int(item.columns[-1]) + 1 :])
    cosine = torch.cosine_similarity(item.features, words.mean(dim=0)[None])
    expected = cosine.argsort(descending=True)[:9].sort().values
    assert pruned.last.selections[0].indices.tolist() == expected.tolist()
    reverse = prune(llava, get_pruner("reverse", of="input_similarity"), 9)
    reverse.forward(**inputs)
    lowest = cosine.argsort()[:9].sort().values
    assert reverse.last.selections[0].indices.sort().values.tolist() == lowest.tolist()


def test_given_scores(llava):
    inputs, scores = tiny_prompt("llava"), torch.arange(36.0)
    pruned = prune(llava, "external_similarity", 3, scores=scores)
    pruned.forward(**inputs)
    assert pruned.last.selections[0].indices.tolist() == [33, 34, 35]
    with pytest.raises(ValueError, match="one image, and the call has 2"):
        pruned.forward(**tiny_prompt("llava", (2,)))
    with pytest.raises(ValueError, match=r"not ndarray; give torch.as_tensor\(scores\)"):
        prune(llava, "external_similarity", 3, scores=scores.numpy())
    with pytest.raises(ValueError, match="divprune does not read scores; leave scores out"):
        prune(llava, "divprune", 3, scores=scores)


def test_placeholders_that_do_not_fit(llava):
    inputs = tiny_prompt("llava")
    inputs["input_ids"][0, 5] = 7
    with pytest.raises(ValueError, match=r"35 image placeholders \(token 90\).*36 visual tokens"):
        prune(llava, "random", 9).forward(**inputs)


def test_classes_that_are_not_supported():
    config = transformers.LlamaConfig(
        vocab_size=32, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"LlamaForCausalLM .*not supported.*qwen2_5_vl"):
        prune(transformers.LlamaForCausalLM(config), "random", 9)


def test_transformers_that_is_too_old(llava, monkeypatch):
    monkeypatch.setattr(network.transformers, "__version__", "5.17.0")
    with pytest.raises(ValueError, match=r"5\.17\.0 is too old.*transformers>=5\.19"):
        prune(llava, "random", 9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inputs_embeds": torch.zeros(1, 2, 32)}, "give input_ids"),
        ({"position_ids": torch.zeros(1, 2, dtype=torch.long)}, "positions= of prune"),
        ({"attention_mask": torch.ones(1, 3, dtype=torch.long)}, "must have the shape"),
    ],
)
def test_arguments_that_the_door_makes_itself(llava, given, message):
    with pytest.raises(ValueError, match=message):
        prune(llava, "random", 9).forward(**{**tiny_prompt("llava"), **given})


def test_budgets_and_names_out_of_range(llava):
    inputs = tiny_prompt("llava")
    with pytest.raises(ValueError, match="random on image 0: budget 37 is not a whole number"):
        prune(llava, "random", 37).forward(**inputs)
    with pytest.raises(ValueError, match="did you mean 'divprune'"):
        prune(llava, "divprun", 9)
    with pytest.raises(ValueError, match="unknown positions 'contigous'"):
        prune(llava, "divprune", 9, positions="contigous")
    with pytest.raises(ValueError, match="tome works inside CLIP's image tower"):
        prune(llava, "tome", 9)
    with pytest.raises(ValueError, match=r"image_downsampling works inside.*a smaller image"):
        prune(llava, "image_downsampling", 9)


def test_classes_that_lack_what_is_needed(llava, monkeypatch):
    with pytest.raises(ValueError, match="CLIPVisionModel"):
        prune(llava.base_model.vision_tower, "random", 9)
    with pytest.raises(ValueError, match=r"LlavaModel has no head.*AutoModelForImageTextToText"):
        prune(llava.base_model, "random", 9)
    monkeypatch.setattr(llava, "forward", lambda input_ids: None)
    with pytest.raises(ValueError, match=r"does not accept encoded images.*update transformers"):
        prune(llava, "random", 9)
