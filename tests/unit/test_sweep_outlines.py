"""Objects without a pixel in a sweep: left out and counted, and no expressions without a target."""

import dataclasses
import json
from types import SimpleNamespace

import pandas as pd
import pytest
from planted import PlantedModel, planted_data
from refer_tree import annotation, make_tree, ref

from litelvlm import load_clips, load_refer
from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.studies import sweep
from litelvlm.analysis.studies.sweep.evaluate import score_lines
from litelvlm.analysis.studies.sweep.rows import load
from litelvlm.data.video.stills import Stills
from litelvlm.models.unipixel.frames import frame_view
from tests.study_inputs import NO_OUTLINE
from tests.unit import clip_tree as tree

CONFIG = sweep.Config(methods=("uniform", "random"), budgets=(16,), seeds=2)
WITHOUT_TARGET = {"n_acc", "t_acc", "giou_no_target", "ciou_no_target"}


def with_meant(data, image, place, *ann_ids):
    """The same data, one expression of which means other objects."""
    expressions = list(data[image].expressions)
    expressions[place] = dataclasses.replace(expressions[place], ann_ids=ann_ids)
    data[image] = dataclasses.replace(data[image], expressions=tuple(expressions))
    return data


@pytest.mark.parametrize("protocol", ["single", "conversation", "official"])
def test_an_object_without_pixels_is_left_out_alone_in_every_protocol(tmp_path, protocol):
    config = CONFIG.model_copy(update={"protocol": protocol})
    data = with_meant(planted_data(3, objects=3), 1, 0, 19)  # no patch has its colour
    asked = planted_data(3, objects=3)
    asked[1] = dataclasses.replace(asked[1], expressions=asked[1].expressions[1:])
    folder, same = (
        complete_run(sweep.STUDY, PlantedModel(), one, config, tmp_path / name)
        for one, name in ((data, "whole"), (asked, "asked"))
    )
    counts, rows = read_record(folder).counts, read_rows(folder)
    assert (counts.expected, counts.done, counts.failed) == (9, 8, 0)
    assert counts.skipped == {NO_OUTLINE: 1}
    pd.testing.assert_frame_equal(rows, read_rows(same))
    assert not WITHOUT_TARGET & set(score_lines(rows))
    assert "no_target" not in read_summary(folder).tables


def test_what_means_nothing_stays_an_expression_without_a_target(tmp_path):
    data = with_meant(with_meant(planted_data(3), 0, 0, -1), 1, 1, 19)
    folder = complete_run(sweep.STUDY, PlantedModel(), data, CONFIG, tmp_path)
    record, rows = read_record(folder), read_rows(folder)
    assert (record.counts.done, record.counts.skipped) == (5, {NO_OUTLINE: 1})
    nothing = rows[rows["area_frac"] == 0]
    assert set(nothing["sent_id"]) == {data[0].expressions[0].sent_id}
    assert set(score_lines(rows)) >= WITHOUT_TARGET


OUTLINES = {
    "empty": [],
    "below a pixel": [[20.1, 20.1, 20.3, 20.1, 20.3, 20.3]],
    "shares of the image": [[0.2, 0.2, 0.4, 0.2, 0.4, 0.4, 0.2, 0.4]],
}
SQUARE = [[20, 20, 80, 20, 80, 80, 20, 80]]


@pytest.mark.parametrize("outline", OUTLINES.values(), ids=OUTLINES)
def test_outlines_that_cover_no_pixel_are_left_out(tmp_path, outline):
    objects = [annotation(1, outline), annotation(2, SQUARE * 2), annotation(3, SQUARE)]
    said = [ref(1, 1), ref(2, 2), ref(3, -1), ref(4, [1, 3])]
    size = ({"id": 7, "height": 168, "width": 168},)
    data = load_refer(make_tree(tmp_path, said, objects, images=size))
    loaded = load(sweep_context(PlantedModel(), data), 0)
    # An object whose pixels are all doubled is one, and so is one of several that has pixels.
    assert [e.ann_ids for e in loaded.sample.expressions] == [(2,), (-1,), (1, 3)]
    assert loaded.skipped == (NO_OUTLINE,)
    assert [row["ann_id"] for row in loaded.keys] == [2, -1, 1]
    assert loaded.masks.max(axis=(1, 2, 3)).tolist() == [2, 0, 1]
    assert len(loaded.coverage) == 3


def sweep_context(model, data):
    """What ``load`` reads of a sweep."""
    return SimpleNamespace(model=model, data=data, config=CONFIG)


def test_an_object_that_a_frame_lacks_is_scored_and_one_that_all_frames_lack_is_not(tmp_path):
    path = tree.mevis(tmp_path / "mevis") / "valid_u/mask_dict.json"
    table = json.loads(path.read_text())
    table["7"] = [None] * len(tree.FRAMES)  # the bear
    path.write_text(json.dumps(table))
    said = path.with_name("meta_expressions.json")
    found = json.loads(said.read_text())
    found["videos"]["two-dogs"]["expressions"]["0"]["anno_id"] = [9]  # gone in the last frame
    said.write_text(json.dumps(found))
    clips = load_clips(tmp_path / "mevis", split="valid_u")
    context = sweep_context(SimpleNamespace(clip_view=frame_view), clips)
    bear, dogs = (load(context, index) for index in range(2))
    assert (bear.sample.expressions, bear.skipped) == ((), (NO_OUTLINE,))
    assert ([e.ann_ids for e in dogs.sample.expressions], dogs.skipped) == (
        [(9,), (-1,), (8, 9)],
        (),
    )
    context.data = stills = Stills(clips, 2)
    of_bear, _, _, last = (load(context, index) for index in range(4))
    assert (of_bear.sample.expressions, of_bear.skipped) == ((), (NO_OUTLINE,))
    assert (last.sample.expressions, last.skipped) == (stills[3].expressions, ())
    assert [row["area_frac"] == 0 for row in last.keys] == [True, True, False]
