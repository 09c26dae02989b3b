"""The engine.

What is missing is computed, failures are counted, an interrupt keeps what is there.
"""

import threading
from functools import partial

import numpy as np
import pandas as pd
import pytest
from planted import PlantedData, PlantedModel, planted_data
from test_runs import make_key

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.runs.columns import Column
from litelvlm.analysis.runs.engine import Item, Job, ahead, in_process, make_chunks, map_chunks
from litelvlm.analysis.runs.folder import open_run
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.runs.outcome import Counts
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies import sweep

SIZES = [2, 1, 3, 2, 2]
COLUMNS = (
    Column("image", int, "Image."),
    Column("expression", int, "Place of the expression."),
    Column("score", float, "Made up."),
    Column("value", int, "Made up."),
)


class Toy:
    """One row per expression of an image; remembers its calls and can be told to fail."""

    def __init__(self, errors=None):
        self.calls, self.errors = [], errors or {}

    def __call__(self, index):
        self.calls.append(index)
        if index in self.errors:
            raise self.errors[index]
        rows = [
            {"image": index, "expression": number, "score": index / 7}
            for number in range(SIZES[index])
        ]
        return ItemResult(rows[1:], ("too small",)) if index == 2 else ItemResult(rows)


def compute(out, function, shard=None, limit=None, notes=()):
    job = job_of(lambda index: partial(function, index), limit, notes)
    with open_run(out, make_key(), len(job.chunks), shard) as run:
        map_chunks(run, job, in_process)
    return run.folder


def job_of(begin, limit=None, notes=()):
    work = Work(PlantedData(), begin, notes=tuple(notes))
    return Job(make_key(), make_chunks(SIZES, 2, limit), work, COLUMNS)


def test_chunks_hold_every_image_once():
    assert make_chunks(SIZES, 2) == [
        (Item(0, 2), Item(1, 1)),
        (Item(2, 3), Item(3, 2)),
        (Item(4, 2),),
    ]
    assert make_chunks(SIZES, 2, limit=3) == [(Item(0, 2), Item(1, 1)), (Item(2, 3),)]
    with pytest.raises(ValueError, match="no images"):
        make_chunks([], 2)


def test_rows_come_in_order_with_their_counts(tmp_path):
    folder = compute(tmp_path, Toy())
    rows = read_rows(folder)
    assert rows["image"].tolist() == [0, 0, 1, 2, 2, 3, 3, 4, 4]
    assert read_record(folder).counts == Counts(expected=10, done=9, skipped={"too small": 1})
    assert read_record(folder).state == "done"


def test_finished_parts_are_not_computed_again(tmp_path):
    compute(tmp_path, Toy())
    again = Toy()
    compute(tmp_path, again)
    assert again.calls == []


@pytest.mark.parametrize("killed_at", range(5))
def test_an_interrupt_keeps_finished_parts_and_the_resumed_run_is_the_same(tmp_path, killed_at):
    expected = read_rows(compute(tmp_path / "whole", Toy()))
    before = set(threading.enumerate())  # other tests of this process may have left some
    with pytest.raises(KeyboardInterrupt):
        compute(tmp_path / "broken", Toy({killed_at: KeyboardInterrupt()}))
    # A thread that is left waits for the garbage collector, which may block the next run.
    assert set(threading.enumerate()) <= before
    folder = tmp_path / "broken" / make_key().folder_name
    assert read_record(folder).state == "partial"
    assert read_record(folder).parts_done == killed_at // 2
    again = Toy()
    compute(tmp_path / "broken", again)
    assert again.calls == list(range(killed_at // 2 * 2, 5))
    pd.testing.assert_frame_equal(read_rows(folder), expected)
    assert read_record(folder).state == "done"


@pytest.mark.parametrize(
    "error", [ValueError("scores of image 1: not finite"), OSError("cannot identify image")]
)
def test_a_failed_sample_is_counted_and_tried_again(tmp_path, error):
    folder = compute(tmp_path, Toy({1: error}))
    record = read_record(folder)
    assert record.state == "failed"
    assert record.counts == Counts(expected=10, done=8, skipped={"too small": 1}, failed=1)
    assert record.failures == (f"image 1: {type(error).__name__}: {error}",)
    assert record.complete
    again = Toy()
    compute(tmp_path, again)
    assert again.calls == [0, 1]
    assert read_record(folder).state == "done"
    assert len(read_rows(folder)) == 9


def test_an_error_of_the_program_stops_the_run(tmp_path):
    with pytest.raises(TypeError, match="bug"):
        compute(tmp_path, Toy({3: TypeError("bug")}))
    record = read_record(tmp_path / make_key().folder_name)
    assert record.state == "failed"
    assert record.parts_done == 1
    assert record.failures == ("stopped by TypeError: bug",)


def test_a_run_without_any_success_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="no sample succeeded; the last failure: image 4"):
        compute(tmp_path, Toy({index: ValueError("bad") for index in range(5)}))


def test_three_shards_merged_are_one(tmp_path):
    whole = read_rows(compute(tmp_path / "whole", Toy()))
    for index in (3, 1, 2):
        folder = compute(tmp_path / "shards", Toy(), Shard(index, 3))
    pd.testing.assert_frame_equal(read_rows(folder), whole)
    assert read_record(folder).state == "done"


def test_memory_of_rows_does_not_pile_up(tmp_path):
    # Each part's rows are written and let go: the function of the next part no longer sees them
    # alive.
    import gc
    import weakref

    class Row(dict):
        pass

    alive = []

    def function(index):
        gc.collect()
        assert not any(ref() is not None for ref, image in alive if image // 2 < index // 2)
        row = Row(image=index)
        alive.append((weakref.ref(row), index))
        return ItemResult([row])

    compute(tmp_path, function)
    assert len(alive) == 5


def test_notes_of_parts_are_recorded_once(tmp_path):
    def function(index):
        return ItemResult([{"image": index}], notes=("memory ran out",) if index == 3 else ())

    folder = compute(tmp_path, function, notes=("fastv@8 is left out",))
    assert read_record(folder).notes == ("fastv@8 is left out", "memory ran out")


def test_images_are_loaded_one_ahead_and_a_failed_load_fails_its_image_only(tmp_path):
    loaded = []

    def load(index):
        loaded.append(index)
        if index == 1:
            raise OSError("truncated")
        return index * 10

    taken = ahead(load, [0, 1, 2])
    first = next(taken)
    assert first() == 0
    assert 2 not in loaded  # one is read ahead, not all
    second = next(taken)
    with pytest.raises(OSError, match="truncated"):
        second()
    assert [take() for take in taken] == [20]
    assert list(ahead(load, [])) == []
    job = job_of(lambda index: partial(lambda value: ItemResult([{"value": value}]), load(index)))
    with open_run(tmp_path, make_key(), len(job.chunks)) as run:
        map_chunks(run, job, in_process)
    assert read_rows(run.folder)["value"].tolist() == [0, 20, 30, 40]
    assert read_record(run.folder).failures == ("image 1: OSError: truncated",)


def test_parts_may_come_back_in_any_order(tmp_path):
    def backwards(parts, job):
        yield from in_process(parts[::-1], job)

    toy = Toy()
    job = job_of(lambda index: partial(toy, index))
    with open_run(tmp_path / "backwards", make_key(), len(job.chunks)) as run:
        map_chunks(run, job, backwards)
    pd.testing.assert_frame_equal(
        read_rows(run.folder), read_rows(compute(tmp_path / "whole", Toy()))
    )


def test_a_study_is_computed_by_the_mapper_it_is_given(tmp_path):
    asked = []

    def remember(parts, job):
        asked.append(list(parts))
        yield from in_process(parts, job)

    config = sweep.Config(methods=("uniform",), budgets=(16,), chunk_size=1)
    model, data = PlantedModel(), planted_data(2)
    complete_run(sweep.STUDY, model, data, config, tmp_path, mapper=remember)
    assert asked == [[0, 1]]


def test_whoever_watches_is_told_of_each_image(tmp_path):
    events, data = [], planted_data(6)
    config = sweep.Config(methods=("uniform",), budgets=(48,), chunk_size=3)
    folder = complete_run(
        sweep.STUDY, PlantedModel(), data, config, tmp_path, watch=lambda e: events.append(e)
    )
    done = np.cumsum([len(data[index].expressions) for index in range(6)]).tolist()
    assert list(dict.fromkeys(e.done for e in events if e.kind == "progress")) == done
    assert {e.total for e in events if e.kind == "progress"} == {done[-1]}
    assert [event.kind for event in events[:2]] == ["started", "progress"]
    assert (events[-1].kind, events[-1].folder) == ("finished", folder)
    assert events[-1].summary == read_summary(folder)
