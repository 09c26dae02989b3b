"""The study of clips on a tiny VideoGLaMM: what each prune point reads, and what it leaves out."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from litelvlm.analysis.api import complete_run, read_record, read_rows
from litelvlm.analysis.studies import video
from litelvlm.analysis.studies.video.prepare import budgets_at, other_window
from litelvlm.data.dataset import Expression, Sample
from litelvlm.figures.files import write_figures
from litelvlm.models.video_glamm.points import ClipGrids
from tests.video_glamm_parts import clip_frames, load, write_folder

SAID = (
    Expression(1, 1, (300,), (1,), "the dog", "looks"),
    Expression(2, 2, (300,), (1,), "the dog that leaves", "motion"),
    Expression(3, 3, (301,), (1,), "the other dog", "looks"),
    Expression(4, 4, (300, 301), (1,), "both dogs", "looks"),
)


@dataclass(frozen=True)
class Clip(Sample):
    """The recorded clip with two objects, one of which four expressions name first."""

    image_id: int = 1
    expressions: tuple = SAID
    annotations: dict = None
    height: int = 90
    width: int = 120
    frames: int = 6

    def frame(self, index):
        return clip_frames()[index]

    def masks(self, expression):
        masks = np.zeros((self.frames, self.height, self.width), dtype=np.uint8)
        for number in expression.ann_ids:
            masks[:, 30:60, 20 + 50 * (number - 300) : 50 + 50 * (number - 300)] = 1
        return masks

    def with_expressions(self, expressions):
        return replace(self, expressions=expressions)


class Clips(list):
    name, split, split_by, digest = "recorded clips", "val", "none", "1" * 64
    categories: ClassVar = {1: "dog"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("videoglamm"))


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    model = load(folder, masks="framewise")
    config = video.Config(methods=("litelvlm", "random", "uniform(frames=first)"), seeds=1)
    out = tmp_path_factory.mktemp("runs")
    return complete_run(video.STUDY, model, Clips([Clip()]), config, out)


def test_every_prune_point_reads_what_its_flow_says(run):
    rows = read_rows(run)
    read = rows.groupby(["point", "window", "budget"])["n_kept"].unique().map(tuple).to_dict()
    grids = ClipGrids(frames=8, image=6, video=4)
    whole = grids.flow()[-1].total
    assert read["V1", "published", 8 * 4] == (whole,)
    assert read["V2", "published", 8 * 5] == (8 * 5 + 32,)
    assert read["V3", "published", 8 * 3] == read["V4", "published", 8 * 3] == (8 * 3 + 32,)
    assert read["V5", "published", 8 * 3] == (8 * 3 + 8,)
    unpruned = rows[rows["method"] == "none"]
    assert set(unpruned["n_kept"]) == {whole}
    assert set(unpruned["point"]) == {"V1", "V2", "V3", "V4", "V5"}
    # The state of the clip is shared among points, and unpruned masks are the same at each.
    assert (unpruned.groupby(["sent_id", "window"])["jf"].nunique() == 1).all()


def test_what_a_point_cannot_hold_is_named_with_the_point(run):
    record = read_record(run)
    assert not record.failures
    left_out = {one.method for one in record.excluded}
    first = "uniform(frames=first)"
    assert {f"{first} at {point}" for point in ("V1", "V2", "V3", "V5")} <= left_out
    assert not any(method.endswith("at V4") for method in left_out)


def test_only_the_first_expression_of_each_object_is_paired_anew(run):
    rows = read_rows(run)
    paired = rows[rows["matched_n"].notna()]
    assert set(paired["sent_id"]) == {1, 3}
    # Of two objects the better pairing has at least the sum of the own ones.
    sums = paired.groupby(["point", "window", "method", "budget", "seed"])[
        ["matched_jf", "merged_jf"]
    ].sum()
    assert (sums["matched_jf"] >= sums["merged_jf"] - 1e-9).all()


def test_no_object_is_paired_anew_where_expressions_are_left_out(folder, tmp_path):
    config = video.Config(methods=("value_path",), points=("V3",), expressions=1)
    model = load(folder, masks="framewise")
    rows = read_rows(complete_run(video.STUDY, model, Clips([Clip()]), config, tmp_path))
    assert "matched_n" not in rows or rows["matched_n"].isna().all()
    assert set(rows["window"]) == {"published", "none"}


def test_another_window_stands_beside_the_model_s_own(folder, run):
    rows = read_rows(run)
    # 61 tokens of the window do not reach from the text to the first of 104 visual tokens.
    assert set(rows["window"]) == {"published", "none"}
    other = rows[rows["window"] == "none"]
    assert set(other["point"]) == {"V3"}
    assert set(other["method"]) == {"none", "litelvlm", "random"}
    keys = ["sent_id", "method", "budget", "seed"]
    same = rows[(rows["window"] == "published") & (rows["point"] == "V3")].merge(other, on=keys)
    assert (same["jf_x"] != same["jf_y"]).any()
    wide = load(folder, window="none")
    assert other_window(wide, 0.5) == 52


def test_budgets_are_near_the_shares(folder):
    shares = (196 / 576, 81 / 576, 0.001)
    found = {
        point: [*budgets_at(load(folder, prune_point=point), shares)]
        for point in ("V1", "V2", "V3")
    }
    # Of 6 x 6 tokens of each of 8 frames, and of 3 x 3 behind the pooling.
    assert found == {
        "V1": [8 * 16, 8 * 4, 8 * 1],
        "V2": [8 * 12, 8 * 5, 8 * 1],
        "V3": [8 * 3, 8 * 1],
    }


def test_its_figures_are_drawn(run, tmp_path):
    drawn = write_figures("all", [run], tmp_path, partial=True)
    assert [picture.name for picture in drawn] == ["video_tokens", "video_window"]


def test_images_are_refused(folder, tmp_path):
    model, still = load(folder), Clip(image_id=7, frames=1)
    for data, message in (
        (
            Clips([Clip(), still]),
            "1 of 2 of recorded clips have one, 7 first; leave such clips out",
        ),
        (Clips([still]), "1 of 1 of recorded clips have one, 7 first; name a data set of clips"),
    ):
        with pytest.raises(ValueError, match=message):
            complete_run(video.STUDY, model, data, video.Config(), tmp_path)
