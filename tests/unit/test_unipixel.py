"""UniPixel: its words, frames and positions by hand; its whole way against the library's own."""

import json
import shutil
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Qwen2VLImageProcessor
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import rotate_half

from litelvlm import get_pruner, load_model
from litelvlm.analysis.cli.actions.segment_clip import check_parts
from litelvlm.analysis.cli.verbs.segment import Segment
from litelvlm.analysis.studies import sweep
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.data.video.frames import open_frames
from litelvlm.layout import Layout
from litelvlm.models.families import family_for
from litelvlm.models.unipixel import build, prompts
from litelvlm.models.unipixel.config import parsed, published_fields
from litelvlm.models.unipixel.cues import OFFERED
from litelvlm.models.unipixel.frames import frame_view, patch_rows, resized_size, sampled
from litelvlm.models.unipixel.model import UniPixel
from litelvlm.models.unipixel.names import names
from litelvlm.models.unipixel.options import UniPixelOptions
from litelvlm.models.unipixel.positions import prompt_positions, selected_positions
from litelvlm.models.weights import places_of
from litelvlm.pruning import Selection
from tests.sam2_reference import clip_frames, session_masks
from tests.tiny_unipixel import fields, load_tiny, write_tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("unipixel"))


@pytest.fixture(scope="module")
def model(folder):
    return load_tiny(folder)


@pytest.fixture(scope="module")
def state(model):
    return model.encode_clip(clip_frames(5))


def that_answers(model, state, wanted):
    """The model with a head that gives these tokens first, and then ends its answer."""
    asked = model.conversation(["the dog"])
    other = replace(model, qwen=model.qwen)
    head = model.qwen.lm_head.weight
    with torch.no_grad():
        head.mul_(1e-3)
        for place in range(len(wanted) + 1):
            _, (answer,) = other.generate(state, asked, None, place + 1, whole=True)
            after = model.qwen.model.language_model.norm(answer.states)
            tokens = [*wanted, model.end_token_id][: place + 1]
            rows = torch.linalg.pinv(after.double()).float()
            for token in set(tokens):
                target = torch.tensor([14.0 * (one == token) for one in tokens])
                head[token] = rows @ target
    return other


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("The dog on the left.", "dog on the left"),
        ("an umbrella", "umbrella"),
        ("THE DOG", "tHE DOG"),
        ("the an a dog", "dog"),
        ("a the dog", "the dog"),
        (".the red car..", "red car"),
        ("The  dog ", " dog "),
    ],
)
def test_phrases_as_the_official_questions_take_them(given, expected):
    assert prompts.question(given) == f"Please segment the {expected} in this image."


def test_each_kind_of_question(model):
    asked = model.conversation(["Which disc stops?"] * 5, range(5), [0, 1, 2, 3, 4]).questions
    assert asked[1] == "Which disc stops? Please provide the segmentation mask."
    assert asked[4].endswith("according to the description: Which disc stops?")
    clip = prompts.user_turn(*model.clip_conversation(["a dog"], 2).questions, first=True)
    assert "<|vision_end|>Please segment the dog in this video.<|im_end|>" in clip
    image = prompts.user_turn(*model.conversation(["a dog"]).questions, first=False)
    assert image == (
        "\n<|im_start|>user\nPlease segment the dog in this image.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("bad", ["", ".", " . ", "the <|seg|> dog", "dog<|im_end|>"])
def test_expressions_without_words_or_with_tokens_of_the_chat(bad):
    with pytest.raises(ValueError, match=r"no words|begins the model's own tokens"):
        prompts.question(bad)


def test_frames_that_the_language_model_reads():
    assert sampled(1) == [0]
    assert sampled(16) == list(range(16))
    assert [n for n in range(17) if n not in sampled(17)] == [8]
    assert sampled(100) == [0, 7, 13, 20, 26, 33, 40, 46, 53, 59, 66, 73, 79, 86, 92, 99]
    view = frame_view(84, 112, 18)
    assert view.layout.frames == 8
    assert view.seen[4] == tuple(sampled(18)[8:10])
    assert frame_view(84, 112, 5).seen == ((0, 1), (2, 3), (4,))
    assert frame_view(84, 112, 1).seen == ()


@pytest.mark.parametrize(
    ("size", "frames", "tokens"),
    [
        ((480, 640), 1, 391),
        ((720, 1280), 5, 2160),
        ((3000, 3000), 1, 4096),
        ((3000, 3000), 3, 2450),
        ((3000, 3000), 16, 2048),
        ((20, 20), 1, 144),
    ],
)
def test_tokens_of_a_clip(size, frames, tokens):
    """One frame may have 4,096 tokens; sixteen share 2,048; a small one gets at least 128."""
    assert frame_view(*size, frames).n_tokens == tokens


def test_frames_far_longer_than_wide():
    with pytest.raises(ValueError, match="10 x 2001 pixels is more than 200 times"):
        resized_size(10, 2001, 1)


def test_patches_are_those_of_the_library():
    processor = Qwen2VLImageProcessor(do_resize=False)
    picture = Image.fromarray(clip_frames(1, 96, 128)[0])
    height, width = resized_size(96, 128, 1)
    small = picture.resize((width, height), Image.Resampling.BICUBIC)
    made = processor(images=[small], return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(patch_rows([picture]), torch.as_tensor(made), atol=1e-5, rtol=0)
    odd = patch_rows([picture] * 3)
    assert torch.equal(odd[-len(odd) // 2 :], patch_rows([picture] * 2))


def test_text_positions_of_two_releases():
    long = Layout(8, 2, 3)
    pinned, library = (prompt_positions(60, 2, long, 2.0, rule) for rule in ("pinned", "library"))
    assert torch.equal(pinned[:, :50], library[:, :50])
    assert pinned[:, 49].tolist() == [16, 3, 4]
    assert pinned[:, 50].tolist() == [17, 17, 17]
    assert library[:, 50].tolist() == [5, 5, 5]
    image = Layout(1, 4, 5)
    assert torch.equal(*(prompt_positions(30, 2, image, 2.0, r) for r in ("pinned", "library")))


def test_positions_of_a_selection():
    layout = Layout(2, 2, 2)
    full = prompt_positions(12, 2, layout, 2.0, "pinned")
    kept = torch.tensor([7, 4])
    original = Selection.from_indices(kept, 8, positions="original")
    got = selected_positions(full, 2, original)
    assert got[:, 2:4].tolist() == full[:, [9, 6]].tolist()
    assert torch.equal(got[:, 4:], full[:, 10:])
    closed = selected_positions(full, 2, Selection.from_indices(kept, 8))
    assert closed.tolist() == [[0, 1, 2, 2, 4, 5], [0, 1, 3, 2, 4, 5], [0, 1, 3, 2, 4, 5]]
    whole = Selection.from_indices(torch.arange(8).flip(0), 8)
    assert torch.equal(selected_positions(full, 2, whole)[:, 2:10], full[:, 2:10].flip(1))


@pytest.mark.parametrize("rule", ["library", "pinned"])
def test_the_whole_way_equals_the_library_s_own(folder, rule):
    """Ids and masks through ``generate`` and a SAM2 session of transformers."""
    model = load_tiny(folder, text_positions=rule, memory="bfloat16")
    frames = clip_frames(5)
    state = model.encode_clip(frames)
    seg = model.seg_token_id
    model = that_answers(model, state, [65, seg, 66, seg])
    asked = model.clip_conversation(["The dog."], 5)
    prompt = model.prompt(state, prompts.user_turn(asked.questions[0], first=True))
    ids, qwen = prompt.ids[None], model.qwen
    given = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": 2 * (ids == model.video_token_id).long(),
        "pixel_values_videos": patch_rows([Image.fromarray(frame) for frame in frames]),
        "video_grid_thw": torch.tensor([[3, *(2 * side for side in state.view.layout.grid)]]),
        "second_per_grid_ts": torch.tensor([1.0]),
    }  # fmt: skip
    positions, _ = qwen.model.get_rope_index(
        ids, given["mm_token_type_ids"], video_grid_thw=given["video_grid_thw"],
        second_per_grid_ts=given["second_per_grid_ts"], attention_mask=given["attention_mask"],
    )  # fmt: skip
    if rule == "library":
        assert torch.equal(prompt.positions, positions[:, 0])
    with torch.no_grad():
        said = qwen.generate(
            **given, position_ids=prompt.positions[:, None], do_sample=False, max_new_tokens=8,
            eos_token_id=model.end_token_id, pad_token_id=0,
        )[0, len(prompt.ids) :]  # fmt: skip
        turns, (answer,) = model.generate(state, asked, None, 8, whole=True)
        assert said.tolist() == list(answer.ids) == [65, seg, 66, seg, model.end_token_id]
        seen = []
        hook = qwen.model.language_model.norm.register_forward_pre_hook(
            lambda _, given: seen.append(given[0])
        )
        rest = {**given, "input_ids": torch.cat([ids, said[None, :1]], 1)}
        rest["attention_mask"] = torch.ones_like(rest["input_ids"])
        rest["mm_token_type_ids"] = 2 * (rest["input_ids"] == model.video_token_id).long()
        last = prompt.positions[:, -1:] + 1
        qwen(**rest, position_ids=torch.cat([prompt.positions, last], 1)[:, None])
        hook.remove()
        torch.testing.assert_close(turns.states[0], seen[0][0, -1], atol=1e-4, rtol=0)
        tokens = model.seg_head(seen[0][0, -1]).view(2, -1)
        pixels = torch.stack([state.sam_frames.pixels(n) for n in range(5)])
        expected = session_masks(model.sam2, pixels, [tokens], clicked=False)
        found = model.ground([state], [asked], [None], "generated")[0]
        low = torch.stack(
            [step.masks.low_res for step in model.masker.begin(state).steps(found.seg_embeddings)],
            1,
        )
    torch.testing.assert_close(low, expected, atol=5e-3, rtol=0)
    assert found.found == (True,)
    assert found.answers == (model.tokenizer.decode([65]) + "[SEG]",)
    assert torch.equal(found.seg_state[0], turns.states[0])


def test_an_answer_without_a_mask_is_counted_and_empty(folder):
    model = load_tiny(folder)
    state = model.encode_clip(clip_frames(3))
    model = that_answers(model, state, [65, 66])
    calls = []
    hook = model.sam2.mask_decoder.register_forward_hook(lambda *_: calls.append(1))
    found = model.ground([state], [model.conversation(["a dog"])], [None], "generated")[0]
    hook.remove()
    assert found.found == (False,)
    assert calls == []
    assert not found.masks.any()
    assert found.logits.shape == (1, 3, 60, 80)
    assert found.seg_state.isnan().all()


def test_two_turns_generated_and_forced(model, state):
    asked = model.clip_conversation(["a dog", "the disc"], 5)
    forced = model.ground([state], [asked], [None])[0]
    assert forced.logits.shape == (2, 5, 60, 80)
    alone = model.ground([state], [model.clip_conversation(["a dog"], 5)], [None])[0]
    torch.testing.assert_close(forced.logits[:1], alone.logits, atol=1e-3, rtol=0)
    free = model.ground([state], [asked], [None], "generated", 4)[0]
    assert len(free.answers) == 2


def test_all_tokens_kept_is_unpruned_and_a_mask_hides_as_pruning_does(model, state):
    asked = model.conversation(["a dog"])
    n_tokens = state.view.n_tokens
    everything = Selection.from_indices(torch.arange(n_tokens), n_tokens)
    whole, kept_all = (model.ground([state], [asked], [one])[0] for one in (None, everything))
    assert torch.equal(whole.seg_state, kept_all.seg_state)
    assert torch.equal(whole.logits, kept_all.logits)
    chosen = torch.arange(0, n_tokens, 3)
    selection = Selection.from_indices(chosen, n_tokens, positions="original")
    pruned = model.read_given(state, asked, selection).states
    text = prompts.user_turn(asked.questions[0], first=True)
    prompt = model.prompt(state, text + prompts.answer_text(asked.answers[0]))
    embeds = model.qwen.get_input_embeddings()(prompt.ids).clone()
    embeds[prompt.start : prompt.start + n_tokens] = state.tokens
    stays = torch.ones(len(prompt.ids))
    stays[prompt.start : prompt.start + n_tokens] = 0
    stays[prompt.start + chosen] = 1
    seen = []
    norm = model.qwen.model.language_model.norm
    hook = norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        model.qwen.model.language_model(
            inputs_embeds=embeds[None],
            attention_mask=stays[None].long(),
            position_ids=prompt.positions[:, None],
        )
    hook.remove()
    place = prompt.ids.tolist().index(model.seg_token_id) - 1
    masked = seen[0][0, place]
    assert (pruned[0] - masked).norm() <= 1e-6 * masked.norm()  # float32; float64 gives 2e-16


TOWER, SAM2, TEXT = (fields()[name] for name in ("vision_config", "sam2_sizes", "text_config"))
METHODS = ("random", "uniform", "divprune", "avgpool", "bilinear", "vispruner")


@pytest.mark.parametrize("name", [*METHODS, "input_similarity", "tower_value_norm"])
def test_methods_choose_among_the_tokens_of_a_clip(model, state, name):
    """In each group of frames alike; or together, where a method allows it."""
    asked, layout = model.clip_conversation(["a dog"], 5), state.view.layout
    method = get_pruner(name)
    model.check_method(method, layout.frames, 24)
    selection = method.select(model.cues(state, asked), 24)
    found = model.ground([state], [asked], [selection])[0]
    assert len(found.selection) == 24
    assert found.logits.isfinite().all()
    kept = selection.indices[selection.indices >= 0]
    if len(kept) == 24:
        assert torch.bincount(kept // layout.per_frame).tolist() == [8, 8, 8]
    together = replace(model, options=model.options.replaced({"frames": "together"}))
    if method.video_substitute:
        with pytest.raises(ValueError, match="rows and columns of one image"):
            together.check_method(method, layout.frames, 24)
    else:
        assert len(method.select(together.cues(state, asked), 24)) == 24


def test_a_budget_below_one_token_for_each_group(model):
    with pytest.raises(ValueError, match="budget 2 is too small for 3 groups of frames"):
        model.segment(clip_frames(5), "a dog", "random", 2)


def test_each_substitute_is_ranked_both_ways(model, state):
    asked = model.conversation(["a dog"])
    for name in model.substitutes:
        high, low = get_pruner(name), get_pruner("reverse", of=name)
        model.check_method(high, 3)
        cues = model.cues(state, asked)
        best, worst = (set(one.select(cues, 30).indices.tolist()) for one in (high, low))
        assert len(best) == len(worst) == 30
        assert not best & worst
        score = cues.float32(name)
        assert score[list(best)].min() >= score[list(worst)].max()


def test_what_does_not_belong_to_the_clip_is_refused(model, state):
    asked = model.clip_conversation(["a dog"], 5)
    other = Selection.from_indices(torch.arange(3), 9)
    with pytest.raises(ValueError, match="made among 9 visual tokens, and the clip has"):
        model.ground([state], [asked], [other])
    with pytest.raises(ValueError, match="take answer='generated'"):
        model.ground([state], [asked.until(0, ())], [None])
    with pytest.raises(ValueError, match="one state, conversation and selection per row"):
        model.ground([state], [], [])


def test_scores_of_another_model_rank_the_tokens(model, state):
    asked, n_tokens = model.clip_conversation(["a dog"], 5), state.view.n_tokens
    scores = torch.arange(n_tokens, dtype=torch.float32)
    cues = model.cues(state, asked).replaced(external_similarity=scores)
    selection = get_pruner("external_similarity").select(cues, 6)
    per_frame = state.view.layout.per_frame
    last = [frame * per_frame - n for frame in (1, 2, 3) for n in (2, 1)]
    assert selection.indices.tolist() == last
    assert model.ground([state], [asked], [selection])[0].logits.isfinite().all()


def test_attention_of_the_language_model_from_the_prompt_and_from_the_mask(model, state):
    """Against the library's eager attention over the whole conversation."""
    asked = model.conversation(["a dog"])
    cues, prompt = model.cues(state, asked), model.answered(state, asked)
    embeds = model.qwen.get_input_embeddings()(prompt.ids).clone()
    visual = slice(prompt.start, prompt.start + state.view.n_tokens)
    embeds[visual] = state.tokens
    decoder = model.qwen.model.language_model
    decoder.set_attn_implementation("eager")
    with torch.no_grad():
        out = decoder(
            inputs_embeds=embeds[None],
            attention_mask=torch.ones(1, len(prompt.ids), dtype=torch.long),
            position_ids=prompt.positions[:, None],
            output_attentions=True,
        )
    decoder.set_attn_implementation("sdpa")
    rows = torch.stack(out.attentions)[:, 0].mean(1)  # layers, queries, keys
    (seg,) = model.seg_places(prompt).tolist()
    torch.testing.assert_close(cues.get("llm_attention"), rows[:, seg, visual].T, atol=1e-5, rtol=0)
    last = len(prompt.ids) - len(model.text_ids(prompts.answer_text(asked.answers[0]))) - 1
    found = cues.get("llm_prompt_attention")
    torch.testing.assert_close(found, rows[:, last, visual].T, atol=1e-5, rtol=0)
    for query in ("seg", "last_prompt"):
        assert len(get_pruner("llm_attention", query_token=query).select(cues, 20)) == 20


def test_received_attention_is_the_tower_s(model):
    """By hand: the last block's softmax, mean over heads and queries of a frame, then of 2 x 2."""
    frames = [*np.random.default_rng(0).integers(0, 256, (5, 60, 80, 3), np.uint8)]  # no two alike
    state, tower, seen = model.encode_clip(frames), model.qwen.model.visual, {}
    layout, block = state.view.layout, tower.blocks[-1].attn

    def watch(name):
        return lambda _, *given: seen.update({name: given})

    hooks = [
        tower.patch_embed.register_forward_hook(watch("embedded")),
        tower.blocks[0].register_forward_pre_hook(watch("first"), with_kwargs=True),
        block.register_forward_pre_hook(watch("last"), with_kwargs=True),
    ]
    rows = patch_rows([Image.fromarray(frame) for frame in frames])
    with torch.no_grad():
        model.qwen.model.get_video_features(
            rows, torch.tensor([[layout.frames, *(2 * side for side in layout.grid)]])
        )
    for hook in hooks:
        hook.remove()
    (entering, options), (first, _) = seen["last"], seen["first"]
    hidden = entering[0] if entering else options["hidden_states"]
    cos, sin = (part[:, None] for part in options["position_embeddings"])
    with torch.no_grad():
        query, key, _ = block.qkv(hidden).unflatten(-1, (3, block.num_heads, -1)).unbind(1)
    query, key = (one * cos + rotate_half(one) * sin for one in (query, key))
    size = len(hidden) // layout.frames
    logits = [
        torch.einsum("qhe,khe->hqk", q, k) / q.shape[-1] ** 0.5
        for q, k in zip(query.split(size), key.split(size), strict=True)
    ]
    received = torch.cat([one.softmax(-1).mean((0, 1)) for one in logits])
    # Inside the tower patches lie window by window.
    places = torch.cdist(first[0], seen["embedded"][1]).argmin(1)
    assert sorted(places.tolist()) == list(range(len(places))) != places.tolist()
    expected = torch.empty_like(received).index_copy(0, places, received).view(-1, 4).mean(1)
    found = model.cues(state, model.conversation(["a dog"])).float32("received_attention")
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("litelvlm", "take 'input_similarity', 'received_attention', 'tower_value_norm'"),
        ("dart", "works inside the language model"),
        ("fastv", "works inside the language model"),
        ("tome", "inside the image tower|cannot give"),
        ("llm_gradient", "cannot give"),
        ("prumerge_plus", "reads cls_key and query, which .* cannot give"),
        ("restore", "works inside the language model"),
    ],
)
def test_methods_that_need_what_the_model_lacks(model, name, message):
    with pytest.raises(ValueError, match=message):
        model.segment(clip_frames(1)[0], "a dog", name, 100)
    with pytest.raises(ValueError, match=message):
        model.check_method(get_pruner(name))


def test_every_offered_cue_can_be_read(model, state):
    asked = model.conversation(["a dog"])
    image = model.encode_image(clip_frames(1)[0])
    covered = torch.rand(image.view.n_tokens)
    for name in OFFERED:
        assert len(model.cues(image, asked, covered).get(name)) == image.view.n_tokens, name
    clip = model.cues(state, asked, torch.rand(state.view.n_tokens))
    for name in sorted(OFFERED):  # one after the other of the same cues, whatever their widths
        assert len(clip.get(name)) == state.view.n_tokens, name


def test_the_box_is_that_of_each_group_of_frames(model, state):
    asked, layout = model.conversation(["a dog"]), state.view.layout
    covered = torch.zeros(layout.frames, *layout.grid)
    for group in range(layout.frames):
        covered[group, group, :2] = 1.0
    cues = model.cues(state, asked, covered)
    assert torch.equal(cues.box, covered.flatten())
    oracle = get_pruner("box_oracle", share=1.0, margin=0)
    kept = oracle.select(cues, 2 * layout.frames).indices
    assert torch.equal(kept, covered.flatten().nonzero().flatten())


def test_broken_clips(model, tmp_path):
    good, path = clip_frames(2), tmp_path / "broken.png"
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="no frames"):
        model.segment([], "a dog")
    with pytest.raises(ValueError, match=r"frame 1 of the clip: .*broken\.png"):
        model.segment([good[0], path], "a dog")
    with pytest.raises(ValueError, match="frame 1 of the clip has 50 x 80 pixels"):
        model.segment([good[0], good[1][:50]], "a dog")


def test_a_long_clip_gives_every_frame_a_mask(model):
    found = model.segment(clip_frames(18), "a dog", "random", 0.5)
    assert found.logits.shape == (1, 18, 60, 80)
    assert found.selection.n_tokens == frame_view(60, 80, 18).n_tokens


@pytest.mark.parametrize("frames", [1, 3, 18])
def test_tokens_that_each_stage_reads(model, frames):
    """Patches of the tower, and what the language model and SAM2 read, by the closed form."""
    clip, read = clip_frames(frames), min(frames, 16)
    groups = -(-read // 2)
    rows, columns = (side // 28 for side in resized_size(60, 80, read))
    seen = {"tower": [], "llm": [], "sam2": []}
    blocks = {
        "tower": model.qwen.model.visual.blocks[0],
        "llm": model.qwen.model.language_model.layers[0],
        "sam2": model.sam2.vision_encoder,
    }
    hooks = [
        block.register_forward_pre_hook(
            lambda _, given, options, name=name: seen[name].append(
                (given[0] if given else options["hidden_states"]).shape[-2]
            ),
            with_kwargs=True,
        )
        for name, block in blocks.items()
    ]
    text = len(model.text_ids(prompts.user_turn(prompts.question("a dog", 0, frames), first=True)))
    text += len(model.text_ids(prompts.answer_text(prompts.ANSWERS[0]))) - 1
    for budget in (None, 0.25):
        model.segment(clip, "a dog", budget and "random", budget)
    for hook in hooks:
        hook.remove()
    tokens = groups * rows * columns
    assert model.clip_view(60, 80, frames).n_tokens == tokens
    assert seen["tower"] == [4 * tokens] * 2
    assert seen["llm"] == [text + tokens, text + tokens // 4]
    assert len(seen["sam2"]) == 2 * frames


@pytest.mark.parametrize(("size", "count"), [("3b", 1475), ("7b", 1380)])
def test_full_size_has_the_published_tensors(size, count):
    config = parsed(published_fields(size), size)
    with torch.device("meta"):
        parts = build.new_parts(config, "sdpa")
    table = names(config.tied)
    published = {table.official_name(place) for place in places_of(table, parts)} - {None}
    unused = 31  # parts of other tasks
    assert len(published) == count - unused
    assert ("lm_head.weight" in published) is (size == "7b")
    assert all(table.target_of(name) for name in published)


def test_both_prefixes_and_parts_of_other_tasks(folder, model, tmp_path):
    shutil.copytree(folder, tmp_path / "later")
    tensors = load_file(folder / "model.safetensors")
    later = {
        "model." + n if n.startswith("visual.") else n.replace("model.", "model.language_model.", 1)
        if n.startswith("model.") else n: t
        for n, t in tensors.items()
    }  # fmt: skip
    later["ref_proj.1.weight"] = torch.zeros(3)
    save_file(later, tmp_path / "later" / "model.safetensors")
    other = load_tiny(tmp_path / "later")
    for name, weight in model.qwen.state_dict().items():
        if name != "lm_head.weight":
            assert torch.equal(other.qwen.state_dict()[name], weight), name
    both = later | {"visual.merger.ln_q.weight": torch.ones(32)}
    save_file(both, tmp_path / "later" / "model.safetensors")
    with pytest.raises(ValueError, match=r"1 twice: model\.visual\.merger\.ln_q\.weight of qwen"):
        load_tiny(tmp_path / "later")


def test_tied_embeddings_need_no_head_in_the_file(tmp_path):
    write_tiny(tmp_path, tied=True)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    model = load_tiny(tmp_path)
    assert model.qwen.lm_head.weight is model.qwen.get_input_embeddings().weight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seg_token_id": 200}, r"gives <\|seg\|> the id 262, its config.json 200"),
        ({"seg_token_id": -1}, "seg_token_id=-1, expected a whole number"),
        ({"sam2_sizes": None}, "unknown sam2_config 'None'"),
        ({"sam2_sizes": {"widht": 3}}, "unknown size of sam2_sizes 'widht'; did you mean 'width'"),
        ({"vision_config": 3}, "has vision_config 3"),
        ({"vision_config": {"depth": 2}}, "vision_config without hidden_size"),
        ({"vision_config": TOWER | {"patch_size": 16}}, "patch_size=16 .* read here with 14"),
        ({"vision_config": TOWER | {"depth": 10**6}}, "depth=1000000, expected 1 to 256"),
        ({"sam2_sizes": SAM2 | {"blocks": [1, 1, 10**9, 1]}}, r"blocks=\(1, 1, 1000000000, 1\)"),
        ({"sam2_image_size": 2**19}, "image_size=524288 of SAM2"),
        (
            {"text_config": TEXT | {"rope_scaling": {"type": "yarn"}}},
            "rope_scaling=.*'yarn'.*scaled",
        ),
        (
            {"text_config": TEXT | {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}},
            "rope_parameters=.*'yarn'.*not computed here",
        ),
        (
            {"text_config": TEXT | {"rope_parameters": {"rope_theta": 5e5}}},
            "rope_theta=500000.0 in rope_parameters and 1000000.0 elsewhere",
        ),
        (
            {"text_config": TEXT | {"rope_scaling": None}},
            r"mrope_section=\[16, 24, 24\]; its sum must be half of a head, 8",
        ),
        ({"text_config": TEXT | {"use_sliding_window": True}}, "attention has no window here"),
        ({"sam2_image_size": 100}, "no multiple of 32"),
    ],
)
def test_configurations_that_make_no_model(folder, tmp_path, change, message):
    shutil.copytree(folder, tmp_path / "odd")
    (tmp_path / "odd" / "config.json").write_text(json.dumps(fields() | change))
    with pytest.raises(ValueError, match=message):
        load_tiny(tmp_path / "odd")


def test_a_tokenizer_that_is_absent_or_damaged(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "odd")
    (tmp_path / "odd" / "tokenizer.json").write_text("{broken")
    with pytest.raises(ValueError, match="odd is damaged"):
        load_tiny(tmp_path / "odd")
    (tmp_path / "odd" / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"looked for tokenizer\.json"):
        load_tiny(tmp_path / "odd")


@pytest.mark.parametrize("flat", [False, True])
def test_rotations_of_any_release_are_one(flat, tmp_path):
    text = {k: v for k, v in TEXT.items() if not k.startswith("rope")}
    axes = {"mrope_section": [2, 3, 3]}
    old = text | {"rope_theta": 5e5, "rope_scaling": {"type": "mrope", **axes}}
    new = text | {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5, **axes}}
    read = []
    for spelt in (old, new):
        given = fields() | (spelt if flat else {"text_config": spelt})
        if flat:
            del given["text_config"]
        read.append(parsed(given, "config.json").qwen.text_config.rope_parameters)
    assert read[0] == read[1]
    assert read[0]["rope_theta"] == 5e5


def test_a_head_of_its_own_is_not_lost_in_a_tied_checkpoint(tmp_path):
    write_tiny(tmp_path, tied=True)
    weights = load_file(tmp_path / "model.safetensors")
    (embeddings,) = (t for name, t in weights.items() if name.endswith("embed_tokens.weight"))
    for head in (embeddings.clone(), embeddings + 1):
        save_file(weights | {"lm_head.weight": head}, tmp_path / "model.safetensors")
        if torch.equal(head, embeddings):
            load_tiny(tmp_path)
            continue
        with pytest.raises(ValueError, match=r"ties lm_head\.weight to .* and holds other numbers"):
            load_tiny(tmp_path)


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.float8_e4m3fn])
def test_codes_of_a_quantised_weight_are_refused(kind, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "codes")
    file = tmp_path / "codes" / "model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if name.endswith("q_proj.weight"))
    save_file(weights | {name: (weights[name] * 100).to(kind)}, file)
    with pytest.raises(ValueError, match=f"weight {name} .* stored as {kind}, which needs scales"):
        load_tiny(tmp_path / "codes")


def test_parts_of_a_clip_count_groups_of_frames(folder, tmp_path):
    """Two frames make a group, so that a budget of 2 gives each group of four frames a token."""
    model = load_model(str(folder), device="cpu", options=UniPixelOptions(frames="each"))
    for frame in range(6):
        Image.new("RGB", (64, 48)).save(tmp_path / f"{frame}.png")
    frames, divprune = open_frames(tmp_path), get_pruner("divprune")
    verb = partial(Segment, image=tmp_path, text=("a dog",), pruner="divprune", clip_frames=4)
    check_parts(verb(budget=2), model, frames, divprune)
    with pytest.raises(ValueError, match="budget 1 is too small for 2 groups of frames"):
        check_parts(verb(budget=1), model, frames, divprune)


def test_a_miniature_is_loaded_in_float32_whatever_it_is_called(folder):
    assert build.load_unipixel(folder, device="cpu").dtype == torch.float32


def test_bfloat16_is_near_float32(folder):
    """A tiny random model loses about a hundredth."""
    frames, whole = clip_frames(4), []
    for dtype in ("float32", "bfloat16"):
        model = build.load_unipixel(folder, dtype, "cpu")
        whole.append(model.segment(frames, "a dog", "divprune", 0.5).seg_state.float())
    assert (whole[0] - whole[1]).abs().mean() < 0.05 * whole[0].abs().mean()


def test_a_folder_names_its_family(folder):
    assert family_for(str(folder)).name == "unipixel"
    model = load_model(folder, dtype="float32", device="cpu")
    assert isinstance(model, UniPixel)
    drawn = load_model(folder, dtype="float32", device="cpu", random_init=True)
    assert drawn.digest == "random"
    assert drawn.name.endswith("(random weights)")
    found = drawn.segment(np.zeros((40, 40, 3), np.uint8), "a dog")
    assert found.logits.isfinite().all()
    with pytest.raises(ValueError, match="quantise='int8' does not go with"):
        load_model(folder, quantise="int8")


class Clips(list):
    name, split, split_by, digest = "long clips", "val", "none", "1" * 64
    categories: ClassVar = {}


def test_a_sweep_of_long_clips_counts_groups_of_frames(model):
    """Forty frames are read as eight groups, so eight tokens are enough."""
    clips = Clips([SimpleNamespace(height=84, width=112, frames=40)])
    asked = sweep.Config(methods=("random",), budgets=(8, 7), seeds=1)
    context = SweepContext(model, clips, asked, asked.budgets)
    (n_tokens,) = context.token_counts
    assert [cell.n_kept for cell in context.cells(n_tokens)] == [8]
    assert "7 is too small for 8 groups" in context.excluded[0].reason
