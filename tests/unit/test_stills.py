"""Still frames of clips: the clip's pixels, masks and expressions, one image at a time."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from litelvlm import load_clips, load_model, load_refer
from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.cli.actions import loading
from litelvlm.analysis.cli.actions.data_check import check_references
from litelvlm.analysis.cli.options import DataOptions
from litelvlm.analysis.runs.origin.provenance import data_identity
from litelvlm.analysis.studies import reversal
from litelvlm.analysis.studies.reversal.tables import moments_table
from litelvlm.data.annotations import RefDataError
from litelvlm.data.video.stills import Stills
from litelvlm.figures import FIGURES
from litelvlm.figures.saved import Saved
from tests.unit import clip_tree as tree


@pytest.mark.parametrize("make", [tree.davis, tree.mevis, tree.revos])
def test_a_still_has_the_frame_and_the_masks_of_its_place(tmp_path, make):
    split = "valid_u" if make is tree.mevis else "valid"
    clips = load_clips(
        make(tmp_path / make.__name__), make.__name__.replace("davis", "ref-davis17"), split
    )
    stills = Stills(clips, 2)
    assert [still.frame_of_clip for still in stills] == [0, 2, 0, 2]
    assert [still.image_id for still in stills] == [0, 0, 1, 1]
    assert [still.moment_of_clip for still in stills] == [1, 2, 1, 2]
    # Random methods draw other tokens in every frame; a clip has three.
    assert [still.key for still in stills] == [0, 2, 3, 5]
    assert [clip.key for clip in clips] == [0, 1]
    by_id = {one.sent_id: one for clip in clips for one in clip.expressions}
    seen = list[int]()
    for still in stills:
        clip = clips[still.image_id]
        np.testing.assert_array_equal(still.image(), clip.frame(still.place))
        assert len(still.expressions) == len(clip.expressions)
        for one, original in zip(still.expressions, clip.expressions, strict=True):
            assert (one.sent, one.ann_ids) == (original.sent, original.ann_ids)
            assert by_id[still.sent_ids[one.sent_id]] is original
            np.testing.assert_array_equal(still.mask(one), clip.masks(original)[still.place])
            seen.append(one.sent_id)
    assert len(set(seen)) == len(seen) == stills.n_expressions
    some = stills[3].with_expressions(stills[3].expressions[:1])
    np.testing.assert_array_equal(
        some.mask(some.expressions[0]), stills[3].mask(stills[3].expressions[0])
    )


def test_the_number_of_stills_makes_other_data(tmp_path):
    clips = load_clips(tree.mevis(tmp_path / "mevis"), split="valid_u")
    assert [one.place for one in Stills(clips, 9)] == [0, 1, 2] * 2  # clips of three frames
    assert [one.place for one in Stills(clips, 1)] == [0, 0]
    assert [data_identity(one).get("samples") for one in (clips, Stills(clips, 1))] == [
        *("clips", "stills"),
    ]
    assert data_identity(load_refer("embedded")).keys() == {"name", "split", "split_by", "digest"}
    assert len({clips.digest, Stills(clips, 1).digest, Stills(clips, 2).digest}) == 3
    with pytest.raises(ValueError, match="0 stills of each clip; take 1 or more"):
        Stills(clips, 0)


def test_stills_are_asked_for_by_an_option(tmp_path):
    root = tree.mevis(tmp_path / "mevis")
    verb = DataOptions(data=str(root), split="valid_u", stills=2)
    found = loading.data_of(verb)
    assert isinstance(found, Stills)
    assert "8 expressions, 4 stills, 4 of 4 stills read" in check_references(found, True)
    with pytest.raises(ValueError, match="--stills 2 goes with clips; leave it out for images"):
        loading.data_of(DataOptions(stills=2))


def repainted(path, paint):
    """Change the labels of a frame."""
    Image.fromarray(paint(np.asarray(Image.open(path)).copy())).save(path)


def test_labels_of_another_release_are_refused_in_stills_too(tmp_path):
    root = tree.davis(tmp_path / "davis")
    for path in root.glob("valid/Annotations/*/*.png"):
        repainted(path, lambda labels: np.where(labels > 0, 255, 0).astype(np.uint8))
    for data in (load_clips(root), Stills(load_clips(root), 2)):
        with pytest.raises(ValueError, match="bear: no frame shows object 1, which the expression"):
            check_references(data, every_image=True)


def test_an_object_of_a_frame_that_was_not_chosen_is_absent(tmp_path):
    root = tree.davis(tmp_path / "davis")
    labels = root / "valid/Annotations/bear"
    for frame in (tree.FRAMES[0], tree.FRAMES[2]):
        repainted(labels / f"{frame}.png", np.zeros_like)
    stills = Stills(load_clips(root), 2)
    for still in stills[:2]:
        assert not any(still.mask(one).any() for one in still.expressions)
    # Labels that were read for this are read again with the data.
    repainted(labels / f"{tree.FRAMES[1]}.png", np.zeros_like)
    assert not stills[0].mask(stills[0].expressions[0]).any()
    again = Stills(load_clips(root), 2)[0]
    with pytest.raises(RefDataError, match="bear: no frame shows object 1"):
        again.mask(again.expressions[0])


def test_reversal_reads_every_moment_and_counts_clips(tmp_path):
    clips = load_clips(tree.davis(tmp_path / "davis"), "ref-davis17")
    config = reversal.Config(pool=8, donors=2, shifts=2, blobs=1, random_seeds=1)
    stills, model = Stills(clips, 3), load_model("embedded", device="cpu")
    folder = complete_run(reversal.STUDY, model, stills, config, tmp_path / "runs")
    rows = read_rows(folder)
    assert set(rows["frame"]) == {0, 1, 2}
    # Object 2 is gone in the last frame: four expressions less.
    assert rows["sent_id"].nunique() == stills.n_expressions - 4
    record, summary = read_record(folder), read_summary(folder)
    assert (record.samples, record.unit) == ("stills", "clips")
    assert {claim.sample.partition(" from ")[2] for claim in summary.claims} == {"2 clips"}
    moments = summary.table("moments").set_index(["kind", "moment"])
    assert set(moments["n_images"]) == {2}
    assert moments.index.get_level_values("kind").unique().tolist() == [
        "all", "annot1", "annot1_full_video", "annot2", "annot2_full_video",
    ]  # fmt: skip
    true = rows[(rows["control"] == "none") & (rows["probe"] == "released") & (rows["layer"] == -2)]
    true = true[(true["sim"] == "dot") & (true["text_mode"] == "template")]
    for place in range(3):
        mean = true.loc[(true["frame"] == place) & (true["visible_frac"] >= 0.5), "ri"].mean()
        assert moments["ri"]["all", place + 1] == pytest.approx(mean)
    drawn, note = FIGURES["reversal_moments"].drawn(Saved(folder))
    assert "from 2 clips" in note
    shown = {text.get_text() for text in drawn.axes[0].get_legend().get_texts()}
    assert shown == set(moments.index.get_level_values("kind"))
    with pytest.raises(ValueError, match=r"is a clip of 3 frames.*--stills N"):
        clips[0].image()


def test_a_moment_is_that_of_the_still_also_where_the_first_has_no_rows():
    rows = pd.DataFrame(
        {
            "image_id": [0, 0, 1, 1, 1],
            "kind": "looks",
            "frame": [4, 7, 0, 4, 7],
            "moment": [2, 3, 1, 2, 3],
            "ri": [0.2, 0.3, 0.1, 0.2, 0.3],
        }
    )
    found = moments_table(rows).set_index("moment")
    assert found["ri"].to_dict() == pytest.approx({1: 0.1, 2: 0.2, 3: 0.3})
    with pytest.raises(ValueError, match="no column 'moment', since an earlier version made them"):
        moments_table(rows.drop(columns="moment"))
