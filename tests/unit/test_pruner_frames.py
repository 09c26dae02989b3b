"""Several frames: methods that score tokens take any number.

Methods of one grid say what to take instead.
"""

import pytest
import torch
from pruner_cases import Blocks, tensors

from litelvlm.layout import Layout
from litelvlm.pruning import Cues, LayerPlan, get_pruner, list_pruners
from tests.method_cases import CASES, parametrised

FRAMES, ROWS, COLUMNS = 3, 4, 5
N = FRAMES * ROWS * COLUMNS
ONE_FRAME = [case for case in CASES if get_pruner(case[0], **case[1]).video_substitute]
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
        "image_downsampling", "uniform",
        "box_oracle", "with_uniform", "restore",
    }  # fmt: skip
