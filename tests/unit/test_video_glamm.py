"""VideoGLaMM's parts: frames, resizing, window, cached answers, prune points, refusals."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from litelvlm import get_pruner
from litelvlm.models import families
from litelvlm.models.families import load_model
from litelvlm.models.video_glamm.block import visual_block
from litelvlm.models.video_glamm.language import generate, read_prompt
from litelvlm.models.video_glamm.model import VideoGlamm
from litelvlm.models.video_glamm.network import pool_squares
from litelvlm.models.video_glamm.options import VideoGlammOptions
from litelvlm.models.video_glamm.points import POINTS, ClipGrids
from litelvlm.models.video_glamm.preprocess import language_frames, resize_fixed_point
from litelvlm.pruning import Selection
from litelvlm.pruning.registry import METHODS
from tests.video_glamm_parts import RECORDING, clip_frames, load, write_changed, write_folder

PER_FRAME = {"V1": 36, "V2": 36, "V3": 9, "V4": 9, "V5": 9}
"""CLIP's tokens of a frame that a method chooses from."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("videoglamm"))


@pytest.fixture(scope="module")
def model(folder):
    return load(folder)


def asked(model, frames=6, texts=("the dog",)):
    return model.clip_conversation(list(texts), frames)


# --- frames and pixels ----------------------------------------------------------------------------


def test_long_clips_are_thinned_out_and_short_ones_repeat_their_end():
    assert language_frames(64, 16) == (0, 4, 8, 12, 16, 21, 25, 29, 33, 37, 42, 46, 50, 54, 58, 63)
    assert language_frames(16, 16) == tuple(range(16))
    assert language_frames(2, 8) == (0, 1, 1, 1, 1, 1, 1, 1)


def test_the_resize_of_whole_numbers():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    assert (resize_fixed_point(pixels, 4, 4) == pixels).all()
    # Halved, every pixel is the mean of four, half up.
    whole = pixels.astype(int).reshape(2, 2, 2, 2, 3).sum((1, 3))
    assert (resize_fixed_point(pixels, 2, 2) == (whole + 2) // 4).all()
    # By hand: 0.25 and 0.75 between 0 and 255, the ends repeated.
    line = np.array([[[0], [255]]], dtype=np.uint8)
    assert resize_fixed_point(line, 1, 4).ravel().tolist() == [0, 64, 191, 255]


def test_the_view_knows_which_frame_each_token_sees(model):
    view = model.clip_view(90, 120, 10)
    assert view.seen == ((0,), (1,), (2,), (3,), (5,), (6,), (7,), (9,))
    assert (view.layout.frames, view.layout.grid) == (8, (3, 3))
    masks = np.zeros((10, 90, 120), dtype=bool)
    masks[4] = True  # no token sees this frame
    assert view.coverage(masks).sum() == 0
    masks[9] = True
    assert view.coverage(masks).tolist() == [0] * 63 + [1] * 9
    assert model.clip_view(90, 120, 1).layout.grid == (6, 6)


def test_an_image_is_asked_about_as_an_image_and_not_read_by_the_video_tower(model):
    assert model.question("Dog") == model.conversation(["dog"]).questions[0]
    assert "in this image" in model.question("Dog")
    assert "in this video" in asked(model).questions[0]
    state = model.encode_image(clip_frames(1)[0])
    assert (state.is_image, len(state.video_tokens)) == (True, 0)
    assert len(visual_block(model, state, None).tokens) == 36


def test_a_frame_that_is_read_twice_is_encoded_once(model):
    state = model.encode_clip(clip_frames(3))
    assert state.clip.patch_tokens.shape[0] == 3
    assert state.read == (0, 1, 2, 2, 2, 2, 2, 2)


# --- language model -------------------------------------------------------------------------------


@torch.inference_mode()
def test_a_token_sees_itself_and_the_window_before_it(folder, model):
    # One layer: what lies further back than the window cannot change a state.
    generator = torch.Generator().manual_seed(0)
    embeds = torch.randn(80, 64, generator=generator)
    places, changed = torch.arange(80), embeds.clone()
    changed[79 - 61] += 1  # the last one that the last token sees
    unseen = embeds.clone()
    unseen[79 - 62] += 1
    one_less, whole = model.with_options(window=61), load(folder, window="none")
    for one, sees in ((model, (True, False)), (one_less, (False, False)), (whole, (True, True))):
        layers, one.phi3.model.layers = one.phi3.model.layers, one.phi3.model.layers[:1]
        one.phi3.config.num_hidden_layers = 1
        try:
            states = [read_prompt(one.phi3, e, places)[-1] for e in (embeds, changed, unseen)]
        finally:
            one.phi3.model.layers, one.phi3.config.num_hidden_layers = layers, 3
        assert tuple(not torch.equal(states[0], other) for other in states[1:]) == sees


@torch.inference_mode()
@pytest.mark.parametrize("gap", [0, 7])
def test_cached_answers_are_those_of_the_official_order_of_work(model, gap):
    # Positions may have a gap, as after pruning; the answer goes on behind the last one.
    embeds = torch.randn(70, 64, generator=torch.Generator().manual_seed(1))
    places = torch.arange(70) + torch.where(torch.arange(70) > 30, gap, 0)
    reply = generate(model.phi3, embeds, places, lambda token: False, 9)
    ids, states = [], []
    while len(ids) < 9:
        fed = model.phi3.model.embed_tokens(torch.tensor(ids, dtype=torch.long))
        behind = places[-1] + 1 + torch.arange(len(ids))
        again = read_prompt(model.phi3, torch.cat([embeds, fed]), torch.cat([places, behind]))
        states.append(again[-1])
        ids.append(int(model.phi3.lm_head(again[-1]).argmax()))
    assert reply.ids == tuple(ids)
    torch.testing.assert_close(reply.states, torch.stack(states), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_pruned_tokens_at_their_places_are_masked_ones(folder):
    model = load(folder, window="none", prune_point="V4")
    state, talk = model.encode_clip(clip_frames()), asked(model)
    kept = torch.tensor([3, 9, 30, 31, 60, 71])
    chosen = Selection.from_indices(kept, 72, positions="original")
    (pruned,) = model.ground([state], [talk], [chosen])
    whole = model.splice(visual_block(model, state, None), talk, 8)
    start = whole.ids.index(-200)
    mask = torch.ones(1, len(whole.embeds), dtype=torch.long)
    dropped = [i for i in range(72) if i not in kept.tolist()]
    mask[0, [start + i for i in dropped]] = 0
    states = model.phi3.model(
        inputs_embeds=whole.embeds[None],
        position_ids=whole.positions[None],
        attention_mask=mask,
    ).last_hidden_state[0]
    seg = whole.ids.index(model.tokenizer.seg_id) - 1 + whole.shift
    masked = states[seg]
    assert (pruned.seg_state[0] - masked).norm() <= 1e-6 * masked.norm()  # float32; float64: equal


@torch.inference_mode()
def test_the_state_is_the_one_before_seg_behind_the_final_norm(model):
    state, talk = model.encode_clip(clip_frames()), asked(model, texts=("the dog", "a cat"))
    (found,) = model.ground([state], [talk], [None])
    spliced = model.splice(visual_block(model, state, None), talk, 8)
    out = model.phi3(
        inputs_embeds=spliced.embeds[None],
        attention_mask=torch.ones(1, len(spliced.embeds), dtype=torch.long),
        output_hidden_states=True,
    )
    places = [i for i, token in enumerate(spliced.ids) if token == model.tokenizer.seg_id]
    before = [place - 1 + spliced.shift for place in places]
    torch.testing.assert_close(found.seg_state, out.hidden_states[-1][0, before], atol=1e-5, rtol=0)
    assert found.logits.shape == (2, 6, 90, 120)


# --- prune points ---------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [8, 16])
def test_the_token_flow_is_the_closed_form(frames):
    grids = ClipGrids(frames=frames)
    assert [stage.total for stage in grids.flow()] == [
        *(576 * frames, 144 * frames, 256 * frames, 64 * frames, 208 * frames)
    ]
    read = {
        (name, k): grids.flow(POINTS[name], k * frames)[-1].per_frame
        for name in POINTS
        for k in (81, 100, 144)
    }
    # V1 keeps 576, 196 or 81 tokens of a frame, and the language model reads 208 all the same.
    for k in (576, 196, 81):
        assert grids.flow(POINTS["V1"], k * frames)[-1] == ("language model", 208, 208 * frames)
    for k in (81, 100, 144):
        assert read["V2", k] == read["V3", k] == read["V4", k] == k + 64
        assert read["V5", k] == k + round(64 * k / 144)
    assert grids.flow(POINTS["V4"], 100)[-1].total == 100 + 64 * frames


@torch.inference_mode()
@pytest.mark.parametrize("point", POINTS)
def test_the_language_model_reads_what_the_flow_says(model, point):
    own = model.with_options(prune_point=point)
    state, per_frame = own.encode_clip(clip_frames()), PER_FRAME[point]
    assert state.view.n_tokens == len(state.tokens) == 8 * per_frame
    whole = visual_block(own, state, None)
    assert len(whole.tokens) == own.grids.flow()[-1].total == 8 * (9 + 4)
    for count in (1, 4, 9):
        chosen = get_pruner("random").select(own.cues(state, asked(own)), 8 * count)
        flow = own.grids.flow(own.point, 8 * count)
        block = visual_block(own, state, chosen)
        assert len(block.tokens) == block.span == flow[-1].total
        if point == "V1":
            assert flow[-1].total == len(whole.tokens)
    # Every token is no selection, bit for bit.
    if point != "V2":
        every = Selection.from_indices(torch.arange(8 * per_frame), 8 * per_frame)
        found = [own.ground([state], [asked(own)], [one])[0] for one in (None, every)]
        assert torch.equal(found[0].logits, found[1].logits)


@torch.inference_mode()
def test_v1_pools_the_square_of_the_chosen_tokens(model):
    own = model.with_options(prune_point="V1")
    state = own.encode_clip(clip_frames())
    order = torch.tensor([7, 0, 35, 20])
    kept = torch.cat([order + 36 * frame for frame in range(8)])
    block = visual_block(own, state, Selection.from_indices(kept, 288))
    frame = own.project_image(state.clip.patch_tokens[0][order])
    expected = torch.nn.functional.adaptive_avg_pool2d(frame.T.reshape(1, -1, 2, 2), 3)
    torch.testing.assert_close(block.tokens[:9], expected[0].flatten(1).T)


def test_v5_keeps_an_even_grid_of_the_video_towers_tokens(model):
    own = model.with_options(prune_point="V5")
    state = own.encode_clip(clip_frames())
    kept = torch.cat([torch.tensor([0, 4, 8]) + 9 * frame for frame in range(8)])
    block = visual_block(own, state, Selection.from_indices(kept, 72))
    video = state.video_tokens.unflatten(0, (8, 4))
    # A third of four is one: the first cell's centre is the last of the four.
    assert torch.equal(block.tokens[24:], video[:, 3])


@torch.inference_mode()
def test_cues_behind_the_pooling_are_pooled(model):
    state, talk = model.encode_clip(clip_frames()), asked(model)
    before = model.with_options(prune_point="V2")
    fine = before.cues(before.encode_clip(clip_frames()), talk)
    coarse = model.cues(state, talk)
    assert (fine.n_tokens, coarse.n_tokens) == (288, 72)
    pooled = pool_squares(fine.patch_embeds.unflatten(0, (8, 36)), 3).flatten(0, 1)
    torch.testing.assert_close(coarse.patch_embeds, pooled)
    torch.testing.assert_close(coarse.projected, state.tokens)
    # Over the whole clip the class token's row is the mean of the frames.
    clip = model.with_options(prune_point="V4").cues(state, talk)
    rows = torch.stack([one.query for one in coarse.by_frame])
    torch.testing.assert_close(clip.query, rows.mean(0))


@torch.inference_mode()
@pytest.mark.parametrize(
    ("point", "budget", "least"), [("V1", 72, 30), ("V3", 32, 28), ("V4", 32, 21)]
)
def test_every_method_chooses_or_is_refused_by_name(model, point, budget, least):
    own = model.with_options(prune_point=point)
    state, talk = own.encode_clip(clip_frames(2)), asked(own, 2)
    cues = own.cues(state, talk, coverage=torch.rand(state.view.n_tokens))
    chosen, refused = [], {}
    for name in set(METHODS) - {"none"}:  # other tests may have registered theirs
        method = get_pruner(name)
        try:
            own.check_method(method, 8)
        except ValueError as error:
            refused[name] = str(error)
            continue
        block = visual_block(own, state, method.select(cues, budget))
        assert len(block.tokens) == own.grids.flow(own.point, budget)[-1].total
        assert torch.isfinite(block.tokens).all()
        chosen.append(name)
    assert len(chosen) >= least
    assert all(f"method {name!r} " in reason for name, reason in refused.items())
    assert {"fastv", "restore", "llm_attention", "input_similarity"} <= set(refused)


@torch.inference_mode()
def test_merged_tokens_behind_the_pooling_are_mixed_there(model):
    state = model.encode_clip(clip_frames())
    selection = get_pruner("visionzip").select(model.cues(state, asked(model)), 40)
    assert selection.tokens is not None
    block = visual_block(model, state, selection)
    of_class = torch.tensor([role == "cls" for role in selection.roles])
    expected = selection.source @ state.tokens
    torch.testing.assert_close(block.tokens[:40][~of_class], expected[~of_class])
    cls = model.project_image(state.clip.cls_token[0])
    torch.testing.assert_close(block.tokens[:40][of_class][0], cls)


# --- from the front door --------------------------------------------------------------------------


def test_a_folder_is_loaded_by_its_own_words(folder):
    assert families.family_for(str(folder)).name == "video_glamm"
    assert families.family_for(f"video_glamm:{folder}").name == "video_glamm"
    drawn = load_model(folder, dtype="float32", device="cpu", random_init=True)
    assert isinstance(drawn, VideoGlamm)
    assert drawn.name.endswith("(random weights)")
    assert (drawn.digest, drawn.options) == ("random", VideoGlammOptions())
    weights = load_file(RECORDING / "checkpoint.safetensors")
    gamma = weights["model.vision_tower.vision_encoder.blocks.1.ls2.gamma"].float()
    assert torch.equal(load(folder).video_tower.blocks[1].ls2.gamma, gamma)


@pytest.mark.parametrize("answer", ["forced", "generated"])
def test_a_clip_is_segmented(model, answer):
    found = model.segment(
        clip_frames(9), ["The Left Man", "a dog"], "litelvlm", 24, answer=answer, max_new_tokens=5
    )
    assert found.logits.shape == (2, 9, 90, 120)
    assert [len(one) for one in found.selections] == [24, 24]
    if answer == "forced":
        assert found.answers == ("It is [SEG].",) * 2
        talk = model.segment(clip_frames(9), ["The Left Man", "a dog"], protocol="conversation")
        assert talk.logits.shape == (2, 9, 90, 120)
        assert len(talk.selections) == 1


def test_entries_about_several_clips_are_answered_as_each_alone(model):
    first, second = (model.encode_clip(clip_frames(frames)) for frames in (6, 3))
    one, two = asked(model, 6), asked(model, 6, ("the cat", "it"))
    entries = [(first, one), (first, two), (second, asked(model, 3)), (first, one)]
    states, conversations = zip(*entries, strict=True)
    together = model.ground(states, conversations, [None] * 4)
    assert [len(found.logits) for found in together] == [1, 2, 1, 1]
    for found, (state, conversation) in zip(together, entries, strict=True):
        (alone,) = model.ground([state], [conversation], [None])
        assert found.logits.shape == alone.logits.shape
        assert torch.equal(found.seg_state, alone.seg_state)
        assert (found.logits - alone.logits).abs().max() < 1e-2
        assert found.timings.keys() == alone.timings.keys()


def test_an_answer_without_seg_gives_no_mask(model):
    index = json.loads((RECORDING / "index.json").read_text())["cases"]["noseg"]
    found = model.segment(clip_frames(), index["phrase"], answer="generated", max_new_tokens=12)
    assert found.found == (False,)
    assert torch.isinf(found.logits).all()
    assert not found.masks.any()
    assert torch.isnan(found.seg_state).all()


BROKEN = Image.new("RGB", (90, 120))


@pytest.mark.parametrize(
    ("frames", "error", "words"),
    [
        ([], ValueError, "the clip has no frames; give at least one image"),
        (
            [*clip_frames(2), "gone/00002.png"],
            FileNotFoundError,
            "frame 2 of the clip: no image is",
        ),
        ([*clip_frames(2), BROKEN], ValueError, "frame 2 of the clip has 120 x 90 pixels and fram"),
        ([clip_frames(1)[0], b"no image"], ValueError, "frame 1 of the clip: the 8 bytes given"),
    ],
)
def test_broken_clips_are_refused(model, frames, error, words):
    for call in (lambda: model.segment(frames, "a dog"), lambda: model.encode_clip(frames)):
        with pytest.raises(error, match=words):
            call()


@pytest.mark.parametrize(
    ("point", "budget", "words"),
    [
        ("V3", 4, "prune point V3 keeps 8 to 72 tokens of 8 frames, got 4"),
        ("V1", 40, "got 40 in all; keep 8 times 4 or 9"),
        ("V1", 33, "got 33 in all; keep 8 times 4 or 9"),
        ("V4", 73, "budget 73 is not a whole number of tokens from 1 to 72"),
    ],
)
def test_impossible_budgets_are_refused(model, point, budget, words):
    own = model.with_options(prune_point=point)
    with pytest.raises(ValueError, match=words):
        own.segment(clip_frames(), "a dog", "random", budget)


def test_what_the_prune_point_cannot_take_is_refused(model):
    state, talk = model.encode_clip(clip_frames()), asked(model)
    uneven = Selection.from_indices(torch.arange(16), 72)
    with pytest.raises(ValueError, match=r"of every frame, got \[9, 7, 0, .* tokens; take V4"):
        model.ground([state], [talk], [uneven])
    with pytest.raises(ValueError, match="take answer='generated'"):
        model.ground([state], [talk.until(0, ())], [None])
    early = model.with_options(prune_point="V2")
    with pytest.raises(ValueError, match="the selection is of 72 tokens, and the clip offers 288"):
        early.ground([early.encode_clip(clip_frames())], [talk], [uneven])
    with pytest.raises(ValueError, match="take positions='contiguous'"):
        early.segment(clip_frames(), "a dog", get_pruner("random", positions="original"), 16)
    with pytest.raises(ValueError, match="method 'fastv' works inside the language model"):
        model.segment(clip_frames(), "a dog", "fastv", 40)
    with pytest.raises(
        ValueError, match=r"'tome' merges tokens inside the image tower.* take prune"
    ):
        model.segment(clip_frames(), "a dog", "tome", 40)
    with pytest.raises(ValueError, match="7 tokens of a frame make no square"):
        pool_squares(torch.zeros(1, 7, 2), 3)
    with pytest.raises(ValueError, match="more than the 4096 of the language model"):
        model.segment(clip_frames(), ["the dog on the left"] * 200, protocol="conversation")
    with pytest.raises(ValueError, match="more than the 4096 of the language model"):
        model.segment(clip_frames(), "a dog", answer="generated", max_new_tokens=4000)
    for other in (model.with_options(num_frames=16), early):
        with pytest.raises(ValueError, match="encode it once more with this model"):
            other.ground([state], [talk], [None])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sliding_window": None}, "sliding_window=None"),
        ({"use_sam2": False}, "use_sam2=False .known: True.; such a model is not known"),
        ({"mm_projector_type": "mlp3x"}, "unknown mm_projector_type 'mlp3x'"),
        ({"mm_hidden_size": 40}, "mm_hidden_size=40, its parts have 48"),
        ({"image_mm_hidden_size": 24}, "has width 32, the checkpoint expects image_mm_hidden_size"),
        ({"vocab_size": 400}, "has 412 tokens with .SEG., its config.json 400"),
        ({"internvideo": {"depth": 4}}, "unknown size of internvideo 'depth'"),
        ({"internvideo": {"hidden_size": 48, "frames": 3}}, "a video tower of 3 frames"),
        ({"internvideo": {"hidden_size": 48, "frames": 0}}, "a video tower of 0 frames"),
        ({"sam2": 3}, "has sam2=3; it holds sizes by name"),
        ({"sam2": {"width": 0}}, "config.json: width=0 of SAM2 .allowed: 1 to 4096"),
        ({"sam2": {"version": "3"}}, "unknown version of SAM2 '3'"),
        ({"rms_norm_eps": "x"}, "rms_norm_eps='x'"),
        ({"num_frames": 12}, "has num_frames=12; the language model sees 8 or 16 frames"),
        ({"num_frames": 8.0}, "has num_frames=8.0"),
        ({"num_frames": None}, "has num_frames=None"),
        ({"words": "going"}, "has words='going'; it is a list of words"),
    ],
)
def test_folders_that_do_not_fit_are_refused(folder, tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        load_model(
            write_changed(folder, tmp_path, changes),
            dtype="float32",
            device="cpu",
            random_init=True,
        )


def test_weights_come_through_the_restricted_reader(folder, tmp_path):
    for path in folder.iterdir():
        if path.name != "model.safetensors":
            (tmp_path / path.name).symlink_to(path)
    weights = load_file(folder / "model.safetensors")
    # A larger vocabulary than the tokenizer's is cut, so that [SEG] is the last row.
    for name in ("lm_head.weight", "model.embed_tokens.weight"):
        weights[name] = torch.cat([weights[name], weights[name][:3]])
    torch.save(weights, tmp_path / "pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": 415}
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(config))
    cut = load(tmp_path)
    assert cut.phi3.lm_head.weight.shape == (412, 64)
    assert torch.equal(cut.phi3.lm_head.weight, load(folder).phi3.lm_head.weight)
    weights.pop("model.mm_projector.bias")
    torch.save(weights, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"1 missing: model\.mm_projector\.bias"):
        load(tmp_path)
