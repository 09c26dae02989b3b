"""Several frames: methods that score tokens take any number.

Methods of one grid say what to take instead.
"""

from functools import partial

import pytest
import torch
from pruner_cases import Blocks, tensors

from litelvlm.layout import Layout
from litelvlm.pruning import Cues, LayerPlan, LayerPruner, get_pruner, list_pruners
from litelvlm.pruning.frames import FrameCues, clip_cues, each_frame, joined
from litelvlm.pruning.selection import RawSelection
from tests.method_cases import CASES, parametrised

FRAMES, ROWS, COLUMNS = 3, 4, 5
N = FRAMES * ROWS * COLUMNS
ONE_FRAME = [case for case in CASES if get_pruner(case[0], **case[1]).video_substitute]


def in_whole(case):
    """Whether a method chooses among whole frames."""
    return get_pruner(case[0], **case[1]).among_frames


MERGING = [
    case
    for case in CASES
    if (pruner := get_pruner(case[0], **case[1])).synthetic and not isinstance(pruner, LayerPruner)
]
ANY_FRAMES = [case for case in CASES if case not in ONE_FRAME and case[0] != "none"]


def video(frames: int = FRAMES) -> Cues:
    """Every cue at random, for the tokens of some frames."""
    found = tensors(grid=(frames * ROWS, COLUMNS))
    embeds = torch.cat([found["cls_token"][None], found["patch_tokens"]])
    return Cues(
        found,
        Layout(frames, ROWS, COLUMNS),
        vit=lambda: Blocks(embeds, grid=(frames * ROWS, COLUMNS)),
    )


def test_the_token_axis_is_frames_times_rows_times_columns():
    cues = Cues.from_tensors(Layout(3, 2, 2), cls_attention=torch.arange(12.0))
    assert (cues.grid, cues.frames, cues.n_tokens) == ((2, 2), 3, 12)
    assert cues.replaced(cls_attention=torch.zeros(12)).frames == 3
    with pytest.raises(ValueError, match=r"N = 4 in \[4\], but the 2 x 2 grid of 3 frames has 12"):
        Cues.from_tensors(Layout(3, 2, 2), cls_attention=torch.zeros(4))
    with pytest.raises(
        ValueError, match=r"of 0 frames has no tokens; give frames \(1 for an image"
    ):
        Layout(0, 2, 2)


def test_only_the_tokens_of_one_frame_lie_on_a_plane():
    assert Layout(1, 4, 5).plane == Layout(3, 4, 5).grid == (4, 5)
    with pytest.raises(ValueError, match="the 4 x 5 grid of 3 frames is no single plane"):
        _ = Layout(3, 4, 5).plane


@parametrised(ANY_FRAMES)
@pytest.mark.parametrize("budget", [7, 20, 41])
def test_a_method_without_a_grid_chooses_among_the_tokens_of_all_frames(name, options, budget):
    selection = get_pruner(name, **options).select(video(), budget)
    assert selection.n_tokens == N
    kept = [i for i in selection.indices.tolist() if i != -1]
    assert len(kept) == len(set(kept))
    assert all(0 <= i < N for i in kept)
    assert len(selection) == (N if isinstance(selection, LayerPlan) else budget)


def test_a_score_ranks_the_tokens_of_all_frames_together():
    # The best of twelve are 11 and 6, in the third and the second frame.
    attention = torch.tensor([0.0, 1, 2, 3, 4, 5, 9, 6, 7, 8, 1, 10])
    cues = Cues.from_tensors(Layout(3, 2, 2), cls_attention=attention)
    assert get_pruner("fastervlm").select(cues, 2).indices.tolist() == [6, 11]


def test_the_centre_is_that_of_each_frame():
    # Cell 4 of nine is the centre; in the second frame it is token 13.
    cues = Cues({}, Layout(2, 3, 3))
    assert get_pruner("centre_distance").select(cues, 2).indices.tolist() == [4, 13]


@parametrised(ONE_FRAME)
def test_a_method_of_one_grid_names_what_to_take_for_several_frames(name, options):
    pruner = get_pruner(name, **options)
    words = f"method '{name}' .* cannot choose among the tokens of 3 frames; take '{{}}'"
    with pytest.raises(ValueError, match=words.format(pruner.video_substitute)):
        pruner.select(video(), 12)
    # One frame is an image. A method that also drops tokens later lets more of them enter.
    chosen = pruner.select(video(1), 12)
    assert len(chosen) == 12 or isinstance(chosen, LayerPlan)
    assert chosen.n_tokens == ROWS * COLUMNS


def test_every_substitute_takes_several_frames():
    named = {get_pruner(*case[:1], **case[1]).video_substitute for case in ONE_FRAME}
    for substitute in named:
        assert len(get_pruner(substitute).select(video(), 12)) == 12


def test_a_wrapper_takes_as_many_frames_as_the_method_it_holds():
    assert get_pruner("with_uniform", of="avgpool").video_substitute == "prumerge_plus"
    assert not get_pruner("with_uniform", of="litelvlm").video_substitute


def test_every_method_is_of_one_kind_or_the_other():
    assert {name for name, _ in (*ONE_FRAME, *ANY_FRAMES)} == set(list_pruners()) - {"none"}
    assert {name for name, _ in ONE_FRAME} == {
        "holov", "evtp_iv_like", "nuwa", "altp_like", "tome", "avgpool", "bilinear",
        "image_downsampling",
        "box_oracle", "with_uniform",
    }  # fmt: skip


def of_frames(method, budget, frames=4, rows=2, columns=3, key=0):
    """Tokens that are kept of each frame, and the cells kept of them."""
    cues = Cues({}, Layout(frames, rows, columns), key)
    kept = method.select(cues, budget).indices
    per_frame = rows * columns
    counts = torch.bincount(kept // per_frame, minlength=frames).tolist()
    return counts, [
        sorted((kept[kept // per_frame == f] % per_frame).tolist()) for f in range(frames)
    ]


def test_an_even_choice_is_one_grid_in_every_frame():
    uniform = get_pruner("uniform")
    counts, cells = of_frames(uniform, 12)
    own = get_pruner("uniform").select(Cues({}, Layout(1, 2, 3)), 3).indices.tolist()
    assert (counts, cells) == ([3] * 4, [own] * 4)
    # What is left goes to frames far from each other; with fewer tokens some frames keep none.
    assert of_frames(uniform, 14)[0] == [3, 4, 3, 4]
    assert of_frames(uniform, 2)[0] == [0, 1, 0, 1]
    assert of_frames(uniform, 24)[0] == [6] * 4


def test_the_first_frame_is_kept_before_any_other():
    first = get_pruner("uniform", frames="first")
    assert of_frames(first, 6)[0] == [6, 0, 0, 0]
    counts, cells = of_frames(first, 3)
    assert counts == [3, 0, 0, 0]
    assert cells[0] == of_frames(get_pruner("uniform"), 12)[1][0]
    assert of_frames(first, 15)[0] == [6, 6, 3, 0]


def test_whole_frames_are_drawn_by_seed_and_clip():
    def drawn(seed, budget=12, key=0):
        return tuple(of_frames(get_pruner("random", frames="whole", seed=seed), budget, key=key)[0])

    pairs = {drawn(seed) for seed in range(60)}
    assert all(sorted(pair) == [0, 0, 6, 6] for pair in pairs)
    assert len(pairs) == 6  # of four frames
    assert drawn(1) == drawn(1)
    assert len({drawn(0, key=key) for key in range(20)}) > 1
    assert sorted(drawn(2, 8)) == [0, 0, 2, 6]


@pytest.mark.parametrize("asked", ["uniform(frames=first)", "random(frames=whole)"])
def test_a_choice_among_frames_is_refused_where_each_keeps_an_equal_part(asked):
    name, options = asked.split("(")[0], {"frames": asked[:-1].split("=")[1]}
    method = get_pruner(name, **options)
    with pytest.raises(ValueError, match=r"among the frames of a clip, and here each of 3 keeps"):
        method.select(frame_by_frame(), 12)
    with pytest.raises(ValueError, match="prune_point=V4, or frames=together"):
        get_pruner("with_uniform", of=method).check_frames(3, each=True)
    method.check_frames(3)
    method.check_frames(1, each=True)


def frame_by_frame(frames: int = FRAMES) -> FrameCues:
    """Every cue at random, for frames that are pruned one by one."""
    made = []
    for number in range(frames):
        found = tensors(grid=(ROWS, COLUMNS), seed=number)
        embeds = torch.cat([found["cls_token"][None], found["patch_tokens"]])
        view = partial(Blocks, embeds, grid=(ROWS, COLUMNS))
        made.append(Cues(found, (ROWS, COLUMNS), number, vit=view))
    return FrameCues(made)


@parametrised([case for case in CASES if case[0] != "none" and not in_whole(case)])
def test_frames_that_are_pruned_one_by_one_keep_what_each_keeps_by_itself(name, options):
    cues, pruner = frame_by_frame(), get_pruner(name, **options)
    together = pruner.select(cues, 12 * FRAMES)
    alone = [pruner.select(frame, 12) for frame in cues.by_frame]
    size = len(alone[0])
    assert together.n_tokens == N
    for number, one in enumerate(alone):
        own = together.indices[number * size : (number + 1) * size]
        shifted = torch.where(one.indices < 0, -1, one.indices + number * ROWS * COLUMNS)
        assert own.tolist() == shifted.tolist()
    if together.source is not None and together.tokens is not None and pruner.stage != "vit":
        kind = "projected" if pruner.stage == "post_projector" else "patch_tokens"
        plain = [role != "cls" for role in together.roles or ["x"] * len(together)]
        mixed = together.source @ cues.get(kind).float()
        torch.testing.assert_close(mixed[plain], together.tokens[plain].float())


def test_a_budget_is_shared_evenly_among_frames():
    cues = frame_by_frame()
    assert len(get_pruner("uniform").select(cues, 0.5)) == N // 2
    kept = get_pruner("random").select(cues, 20).indices // (ROWS * COLUMNS)
    assert torch.bincount(kept).tolist() == [7, 7, 6]
    with pytest.raises(ValueError, match="budget 2 is too small for 3 temporal groups"):
        get_pruner("random").select(cues, 2)
    with pytest.raises(ValueError, match="budget 61 is not a whole number of tokens from 1 to 60"):
        get_pruner("random").select(cues, 61)


def test_random_tokens_lie_elsewhere_in_every_frame():
    def drawn(frames, key=5):
        kept = get_pruner("random").select(each_frame(Cues({}, Layout(frames, 4, 4), key)), 0.25)
        return [tuple(one.tolist()) for one in (kept.indices % 16).split(4)]

    assert len(set(drawn(3))) == 3
    assert not set(drawn(3)) & set(drawn(3, key=6))
    # One frame is an image, which keeps its own draw.
    image = get_pruner("random").select(Cues({}, (4, 4), 5), 4)
    assert drawn(1) == [tuple(image.indices.tolist())]


def test_the_unpruned_model_counts_the_tokens_of_all_frames():
    with pytest.raises(ValueError, match="keeps all 60 tokens, not 12; give budget=60"):
        get_pruner("none").select(frame_by_frame(), 12)
    assert get_pruner("none").select(frame_by_frame(), N).indices.tolist() == [*range(N)]


def test_cues_of_frames_can_be_replaced_and_joined():
    cues = frame_by_frame()
    falling = torch.arange(N, 0, -1).float()
    changed = cues.replaced(cls_attention=falling)
    assert get_pruner("fastervlm").select(changed, 3).indices.tolist() == [0, 20, 40]
    whole = clip_cues(cues.by_frame)
    assert torch.equal(whole.keys, cues.keys)
    assert whole.keys.shape[0] == N
    torch.testing.assert_close(whole.query, torch.stack([f.query for f in cues.by_frame]).mean(0))
    assert torch.equal(whole.text_embeds, cues.by_frame[0].text_embeds)


def test_plain_tokens_beside_merged_ones_are_copies():
    plain = RawSelection(torch.tensor([2, 0]))
    merged = RawSelection(
        torch.tensor([1, -1]),
        places=torch.tensor([1, 3]),
        tokens=torch.ones(2, 3),
        source=torch.full((2, 4), 0.25),
        roles=("kept", "merged"),
        sizes=torch.tensor([1.0, 3.0]),
    )
    rows = torch.arange(12.0).view(4, 3)
    found = joined([plain, merged], 4, lambda frame: rows)
    assert found.indices.tolist() == [2, 0, 5, -1]
    assert found.places.tolist() == [2, 0, 5, 7]
    assert torch.equal(found.tokens, torch.cat([rows[[2, 0]], torch.ones(2, 3)]))
    assert torch.equal(found.source[:2, :4], torch.eye(4)[[2, 0]])
    assert torch.equal(found.source[2:, 4:], torch.full((2, 4), 0.25))
    assert not found.source[:2, 4:].any()
    assert found.roles == ("kept", "kept", "kept", "merged")
    assert found.sizes.tolist() == [1, 1, 1, 3]
    # The order of the frames makes no difference, and plain frames need no rows.
    assert joined([merged, plain], 4, lambda frame: rows).indices.tolist() == [1, -1, 6, 4]
    both = joined([plain, plain], 4, dict().__getitem__)
    assert (both.tokens, both.places, both.roles) == (None, None, None)


@parametrised(MERGING)
def test_a_frame_may_keep_all_its_tokens_where_the_last_one_merges(name, options):
    cues, pruner = frame_by_frame(), get_pruner(name, **options)
    found = pruner.select(cues, N - 1)
    assert len(found) == N - 1
    if found.tokens is not None:
        rows = cues.projected if pruner.stage == "post_projector" else cues.patch_tokens
        kept = [*range(2 * ROWS * COLUMNS)]
        assert found.indices[: len(kept)].sort().values.tolist() == kept
        assert torch.equal(found.tokens[: len(kept)], rows[found.indices[: len(kept)]])
