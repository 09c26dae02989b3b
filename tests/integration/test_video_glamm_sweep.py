"""A sweep of VideoGLaMM over clips: its rows say how many tokens the language model read."""

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.cli.text import claim_text
from litelvlm.analysis.studies import ablations, sweep
from litelvlm.data.dataset import Expression, Sample
from tests.video_glamm_parts import clip_frames, load, write_folder


@dataclass(frozen=True)
class Clip(Sample):
    """The recorded clip with one object."""

    image_id: int = 1
    expressions: tuple = (Expression(1, 1, (1,), (1,), "the dog"),)
    annotations: dict = field(
        default_factory=lambda: {1: SimpleNamespace(category_id=1, crowd=False)}
    )
    height: int = 90
    width: int = 120
    frames: ClassVar[int] = 6

    def frame(self, index):
        return clip_frames()[index]

    def masks(self, expression):
        masks = np.zeros((self.frames, self.height, self.width), dtype=np.uint8)
        masks[:, 30:60, 40:80] = 1
        return masks

    def with_expressions(self, expressions):
        return self


class Clips(list):
    name, split, split_by, digest = "recorded clips", "val", "none", "1" * 64
    categories: ClassVar = {1: "dog"}


@pytest.mark.parametrize(
    ("point", "budgets", "read"),
    [("V1", (128, 48, 32), {288: 104, 128: 104, 32: 104}), ("V4", (30,), {72: 104, 30: 62})],
)
def test_rows_hold_the_tokens_that_the_language_model_reads(tmp_path, point, budgets, read):
    model = load(write_folder(tmp_path), prune_point=point, masks="framewise")
    config = sweep.Config(methods=("none", "litelvlm", "uniform", "fastv"), budgets=budgets)
    folder = complete_run(sweep.STUDY, model, Clips([Clip()]), config, tmp_path / "runs")
    rows = read_rows(folder)
    assert {int(b): int(n) for b, n in zip(rows["budget"], rows["n_kept"], strict=True)} == read
    assert (rows["n_average"] == rows["n_kept"]).all()
    assert rows["target_px"].unique().tolist() == [6 * 30 * 40]
    left_out = {(one.method, one.budget): one.reason for one in read_record(folder).excluded}
    if point == "V1":
        # Six tokens of a frame make no square.
        assert {m for m, budget in left_out if budget == 48} == {"fastv", "litelvlm", "uniform"}
        assert "keep 8 times 4 or 9" in left_out["litelvlm", 48]
        assert {m for m, budget in left_out if budget != 48} == {"fastv"}
    else:
        assert {method for method, _ in left_out} == {"fastv"}


def test_a_size_that_is_no_number_is_refused_by_name(tmp_path):
    path = write_folder(tmp_path) / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"sam2": {**config.get("sam2", {}), "width": "x"}}))
    with pytest.raises(ValueError, match=r"width='x' of SAM2 .allowed: 1 to 4096"):
        load(tmp_path)


CONTROLS = ("uniform", "uniform(frames=first)", "random(frames=whole)")


@pytest.mark.parametrize("point", ["V3", "V4"])
def test_temporal_controls_choose_among_the_frames_of_v4_alone(tmp_path, point):
    model = load(write_folder(tmp_path), prune_point=point, masks="framewise")
    config = sweep.Config(methods=CONTROLS, budgets=(9, 18, 27), seeds=2)
    folder = complete_run(sweep.STUDY, model, Clips([Clip()]), config, tmp_path / "runs")
    rows, record = read_rows(folder), read_record(folder)
    assert not record.failures
    left_out = {one.method for one in record.excluded}
    if point == "V3":
        assert left_out == set(CONTROLS[1:])
        assert all("prune_point=V4" in one.reason for one in record.excluded)
    else:
        assert not left_out
        # The video tower's 4 tokens of each of 8 frames stay: one frame of CLIP's has 9.
        read = rows[rows["method"] == "uniform(frames=first)"].set_index("budget")["n_kept"]
        assert read.to_dict() == {9: 9 + 32, 18: 18 + 32, 27: 27 + 32}
        assert set(rows.loc[rows["method"] == "random(frames=whole)", "seed"]) == {0, 1}


def test_ablations_leave_out_by_name_what_a_clip_or_its_model_cannot_give(tmp_path):
    model = load(write_folder(tmp_path), masks="framewise")
    asked = ("falsify", "rounding", "attention")
    config = ablations.Config(requests=asked, budgets=(36, 4), pool=2)
    clips = Clips([Clip(), Clip(2, (Expression(2, 2, (1,), (1,), "a cat"),))])
    folder = complete_run(ablations.STUDY, model, clips, config, tmp_path / "runs")
    record, rows = read_record(folder), read_rows(folder)
    assert not record.failures
    notes = dict(note.split(" is left out: ") for note in record.notes)
    assert notes == {
        "attention": "a model whose language model can be read is needed",
        "litelvlm(context_share=1)": "it chooses in one image, not in a clip",
    }
    # Four tokens are fewer than eight frames: that budget is refused for every method of a frame.
    assert set(rows.loc[rows["method"] == "litelvlm", "budget"]) == {36}
    assert {one.budget for one in record.excluded if one.method == "litelvlm"} == {4}
    assert rows["jaccard_36"].notna().any()
    assert "jaccard_4" not in rows or rows["jaccard_4"].isna().all()
    by_id = {claim.id: claim for claim in read_summary(folder).claims}
    assert {claim.unit for claim in by_id.values()} == {record.unit} == {"clips"}
    for claim in by_id.values():
        assert "image" not in claim_text(claim)
        assert "(2 clips are fewer than the 20 that an interval needs)" in claim_text(claim)
    assert "to the text of another clip" in by_id["true_text"].null_description
    assert by_id["even"].method == "95% clip bootstrap, B=10000"
