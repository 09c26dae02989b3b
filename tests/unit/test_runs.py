"""Run folders: whole parts, resume, damaged parts, locks, keys and records."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from litelvlm.analysis.api import Estimate, read_record, read_rows, read_summary
from litelvlm.analysis.runs import folder as runs
from litelvlm.analysis.runs import locks
from litelvlm.analysis.runs.claims import make_claim
from litelvlm.analysis.runs.config import Budgets, StudyConfig, budget_counts, requested_shares
from litelvlm.analysis.runs.folder import open_run
from litelvlm.analysis.runs.locks import RunLockedError, Shard
from litelvlm.analysis.runs.origin import provenance
from litelvlm.analysis.runs.origin.determinism import determinism_flags, make_deterministic
from litelvlm.analysis.runs.origin.fingerprint import fingerprint
from litelvlm.analysis.runs.outcome import Counts
from litelvlm.analysis.runs.record import RunKey, RunRecord, Summary, Table
from tests.warm import Command, run_python

ROOT = Path(__file__).parents[2]


def make_key(**changes):
    fields = {
        "study": "toy",
        "config": {"seed": 0, "budgets": [48, 16]},
        "model": {
            "name": "tiny",
            "digest": "a" * 64,
            "dtype": "float32",
            "device": "cpu",
            "attention": "eager",
        },
        "data": {"name": "scenes", "split": "val", "split_by": "None", "digest": "b" * 64},
        "code": "c" * 64,
        "versions": {"torch": "2.13.0", "pillow": "12.0.0"},
    }
    return RunKey(**(fields | changes))


def write_parts(run, parts):
    for part in parts:
        rows = [
            {"part": part, "value": part + 0.5, "text": "ä"},
            {"part": part, "value": 2.0, "text": "b"},
        ]
        run.write_part(part, rows, Counts(expected=3, done=2, skipped={"too small": 1}))


def test_a_finished_run_reads_back_and_explains_itself(tmp_path):
    with open_run(tmp_path, make_key(), 3, seeds={"seed": 7}) as run:
        write_parts(run, range(3))
    rows = read_rows(run.folder)
    assert rows["value"].tolist() == [0.5, 2.0, 1.5, 2.0, 2.5, 2.0]
    record = read_record(run.folder)
    assert (record.state, record.complete, record.parts_done) == ("done", True, 3)
    assert record.counts == Counts(expected=9, done=6, skipped={"too small": 3})
    assert record.seeds == {"seed": 7}
    assert (
        record.versions["torch"] == torch.__version__.split("+")[0]
        or record.versions["torch"] == torch.__version__
    )
    assert record.ended >= record.started
    assert yaml.safe_load((run.folder / "config.yaml").read_text())["config"] == {
        "seed": 0,
        "budgets": [48, 16],
    }
    assert sorted(p.name for p in run.folder.iterdir()) == [
        "config.yaml",
        "rows",
        "run.json",
    ]


def test_the_record_fits_its_schema_and_refuses_unknown_fields(tmp_path):
    with open_run(tmp_path, make_key(), 1) as run:
        write_parts(run, [0])
    text = json.loads((run.folder / "run.json").read_text())
    assert set(text) == set(RunRecord.model_fields)
    with pytest.raises(ValueError, match="surprise"):
        RunRecord.model_validate(text | {"surprise": 1})


@pytest.mark.parametrize("killed_at", [0, 1, 2, 3])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, killed_at):
    with open_run(tmp_path / "whole", make_key(), 4) as run:
        write_parts(run, range(4))
    expected = read_rows(run.folder)

    def interrupted():
        with open_run(tmp_path / "resumed", make_key(), 4) as broken:
            write_parts(broken, range(killed_at))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    folder = tmp_path / "resumed" / make_key().folder_name
    assert read_record(folder).state == "partial"
    assert read_record(folder).parts_done == killed_at
    with open_run(tmp_path / "resumed", make_key(), 4) as run:
        missing = [part for part in range(4) if run.read_part(part) is None]
        assert missing == list(range(killed_at, 4))
        write_parts(run, missing)
    pd.testing.assert_frame_equal(read_rows(folder), expected)
    assert read_record(folder).state == "done"


def test_an_error_leaves_the_state_failed_and_its_reason(tmp_path):
    def broken():
        with open_run(tmp_path, make_key(), 2) as run:
            write_parts(run, [0])
            raise RuntimeError("out of memory in /home/someone/model.bin")

    with pytest.raises(RuntimeError, match="out of memory"):
        broken()
    record = read_record(tmp_path / make_key().folder_name)
    assert record.state == "failed"
    assert "out of memory" in record.failures[-1]
    assert "/home" not in record.failures[-1]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_a_damaged_part_is_computed_again_with_a_message(tmp_path, caplog, damage):
    with open_run(tmp_path, make_key(), 2) as run:
        write_parts(run, range(2))
    path = run.part_path(1)
    good = path.read_bytes()
    bad = {
        "truncated": good[: len(good) // 2],
        "flipped": good[:60] + bytes([good[60] ^ 0xFF]) + good[61:],
        "empty": b"",
        "text": b"not a table",
    }[damage]
    path.write_bytes(bad)
    with pytest.raises(ValueError, match=r"part-0001-of-0002.parquet cannot be read"):
        read_rows(run.folder)
    with open_run(tmp_path, make_key(), 2) as again:
        assert again.read_part(0) is not None
        assert again.read_part(1) is None
        assert "part-0001-of-0002.parquet" in caplog.text
        write_parts(again, [1])
    assert len(read_rows(run.folder)) == 4


def test_a_part_is_read_again_only_if_it_has_changed(tmp_path, monkeypatch):
    reads, read_part = [], runs.read_part

    def counted(path):
        reads.append(path.name[:9])
        return read_part(path)

    monkeypatch.setattr(runs, "read_part", counted)
    with open_run(tmp_path, make_key(), 2) as run:
        write_parts(run, range(2))
        run.count()
        run.count()
        assert reads == ["part-0000", "part-0001"]
        run.part_path(1).write_bytes(run.part_path(0).read_bytes())
        run.count()
        assert reads[2:] == ["part-0001"]
        assert run.record.parts_done == 1
        write_parts(run, [1])
        run.count()
        assert reads[3:] == ["part-0001"]
    assert reads[3:] == ["part-0001"]


def test_a_part_of_another_run_does_not_count(tmp_path, caplog):
    with open_run(tmp_path, make_key(), 2) as run:
        write_parts(run, range(2))
    with open_run(tmp_path, make_key(code="d" * 64), 2) as other:
        write_parts(other, [1])
        other.part_path(0).write_bytes(run.part_path(0).read_bytes())
        with pytest.raises(ValueError, match=r"part-0000-of-0002.parquet .* another run"):
            read_rows(other.folder)
        assert other.read_part(0) is None
        assert "belongs to another run" in caplog.text
    assert read_record(other.folder).state == "partial"
    assert len(read_rows(other.folder)) == 2


BESIDE = [
    "part-0001-of-0002 (conflicted copy).parquet",
    "part-0001-of-0002 2.parquet",
    "part-0001-of-0009.parquet",
    "part-0007-of-0002.parquet",
    "part-001-of-0002.parquet",
    "part-zzzz-of-q.parquet",
    "notes.txt",
]


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("copied", [True, False])
def test_files_beside_the_parts_are_named_and_count_for_nothing(name, copied, tmp_path, caplog):
    with open_run(tmp_path, make_key(), 2) as run:
        write_parts(run, range(2))
    rows, beside = read_rows(run.folder), run.folder / "rows" / name
    beside.write_bytes(run.part_path(1).read_bytes() if copied else b"x")
    pd.testing.assert_frame_equal(read_rows(run.folder), rows)
    assert f"{beside} is no part of this run and is not read" in caplog.text
    caplog.clear()
    with open_run(tmp_path, make_key(), 2) as again:
        assert len(again.finished()) == 2
    assert f"{beside} is no part of this run; it is now {name}.damaged" in caplog.text
    assert not beside.exists()
    caplog.clear()
    pd.testing.assert_frame_equal(read_rows(run.folder), rows)
    assert not caplog.text


@pytest.mark.parametrize(
    "change", [{"key": "f" * 64}, {"n_parts": 9}, {"study": "sweep"}, {"model": {"name": "other"}}]
)
def test_a_record_changed_by_hand_is_written_again(change, tmp_path, caplog):
    with open_run(tmp_path, make_key(), 2) as run:
        write_parts(run, range(2))
    before, path = read_record(run.folder), run.folder / "run.json"
    path.write_text(before.model_copy(update=change).model_dump_json())
    with open_run(tmp_path, make_key(), 2):
        pass
    assert "run.json was changed by hand; it is now run.json.damaged" in caplog.text
    after = read_record(run.folder)
    assert (after.key, after.n_parts, after.study) == (before.key, 2, before.study)
    assert len(read_rows(run.folder)) == 4


def test_a_part_without_rows_counts(tmp_path):
    with open_run(tmp_path, make_key(), 2) as run:
        run.write_part(0, [], Counts(expected=2, skipped={"referent outside the crop": 2}))
        assert run.read_part(0).counts.skipped == {"referent outside the crop": 2}
        assert read_rows(run.folder).empty
        write_parts(run, [1])
    assert len(read_rows(run.folder)) == 2


def test_columns_that_only_later_rows_or_parts_have_are_kept(tmp_path):
    with open_run(tmp_path, make_key(), 2) as run:
        run.write_part(0, [{"a": 1}, {"a": 2, "b": True}], Counts(expected=2, done=2))
        run.write_part(1, [{"a": 0.5, "c": None}, {"a": 3, "c": "x"}], Counts(expected=2, done=2))
    rows = read_rows(run.folder)
    assert rows["a"].tolist() == [1.0, 2.0, 0.5, 3.0]
    assert rows["b"].isna().tolist() == [True, False, True, True]
    assert rows["c"].tolist()[3] == "x"


def test_a_run_with_a_limit_stays_partial(tmp_path):
    with open_run(tmp_path, make_key(), 1, limit=5) as run:
        write_parts(run, [0])
    record = read_record(run.folder)
    assert (record.state, record.complete, record.limit) == ("partial", True, 5)


# --- locks ----------------------------------------------------------------------------------------


def test_two_openings_of_one_run_collide_and_name_the_holder(tmp_path):
    with open_run(tmp_path, make_key(), 2):
        for shard in (Shard(1, 1), Shard(2, 2)):
            with (
                pytest.raises(RunLockedError, match=f"process {os.getpid()}"),
                open_run(tmp_path, make_key(), 2, shard),
            ):
                pass


@pytest.mark.parametrize("lasting", [False, True])
def test_a_lock_file_that_its_last_holder_removes_is_opened_again(tmp_path, monkeypatch, lasting):
    taken, left = locks._taken, [2]

    def removed(stream, mode):
        if lasting or left[0]:
            left[0] -= 1
            Path(stream.name).unlink()
        return taken(stream, mode)

    monkeypatch.setattr(locks, "_taken", removed)
    refused = pytest.raises(RunLockedError, match="again") if lasting else nullcontext()
    with refused, locks.hold(tmp_path, Shard()):
        assert (tmp_path / "shard-1-of-1.lock").is_file()


def test_different_shards_may_run_together_and_make_the_whole(tmp_path):
    with (
        open_run(tmp_path, make_key(), 3, Shard(1, 2)) as first,
        open_run(tmp_path, make_key(), 3, Shard(2, 2)) as second,
    ):
        with (
            pytest.raises(RunLockedError, match=r"shard 1/2"),
            open_run(tmp_path, make_key(), 3, Shard(1, 2)),
        ):
            pass
        with pytest.raises(RunLockedError), open_run(tmp_path, make_key(), 3, Shard(1, 3)):
            pass
        with pytest.raises(RunLockedError), open_run(tmp_path, make_key(), 3):
            pass
        for run in (first, second):
            write_parts(run, [part for part in range(3) if run.shard.owns(part)])
    with open_run(tmp_path / "alone", make_key(), 3) as alone:
        write_parts(alone, range(3))
    pd.testing.assert_frame_equal(read_rows(first.folder), read_rows(alone.folder))
    assert read_record(first.folder).state == "done"
    assert not list(first.folder.glob("*.lock"))


def test_a_stopped_process_is_told_and_a_killed_one_leaves_its_parts_and_no_lock(tmp_path):
    script = f"""
import sys, time
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests" / "unit")!r}]
from test_runs import make_key, write_parts
from litelvlm.analysis.runs.folder import open_run
with open_run({str(tmp_path)!r}, make_key(), 2) as run:
    write_parts(run, [0])
    print("ready", flush=True)
    time.sleep(60)
"""
    told = tmp_path / "told"
    with told.open("w") as stream:
        child = Command([sys.executable, "-c", script], stdout=stream, stderr=subprocess.STDOUT)
    while child.poll() is None and "ready\n" not in told.read_text():
        time.sleep(0.01)
    with (
        pytest.raises(RunLockedError, match=f"process {child.pid}"),
        open_run(tmp_path, make_key(), 2),
    ):
        pass
    os.kill(child.pid, signal.SIGSTOP)
    stopped = f"process {child.pid}, which is stopped .`kill -CONT {child.pid}` lets it go on"
    while "T" not in Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2][:3]:
        time.sleep(0.01)
    with pytest.raises(RunLockedError, match=stopped), open_run(tmp_path, make_key(), 2):
        pass
    child.kill()
    assert child.wait(60) == -signal.SIGKILL, told.read_text()
    folder = tmp_path / make_key().folder_name
    assert read_record(folder).state == "running"
    with open_run(tmp_path, make_key(), 2) as run:
        assert run.read_part(0) is not None
        write_parts(run, [1])
    assert read_record(folder).state == "done"


# --- keys and provenance --------------------------------------------------------------------------


def test_the_key_changes_with_every_field():
    base = make_key()
    changed = {
        "study": "other",
        "config": {"seed": 1, "budgets": [48, 16]},
        "model": base.model | {"digest": "0"},
        "data": base.data | {"digest": "0"},
        "code": "0",
        "versions": {"torch": "0"},
    }
    assert set(changed) == set(RunKey.model_fields)
    digests = {make_key(**{name: value}).digest for name, value in changed.items()} | {base.digest}
    for part in ("model", "data"):
        digests |= {
            make_key(**{part: getattr(base, part) | {name: "0"}}).digest
            for name in getattr(base, part)
        }
    # Each of the 5 fields, then every entry of model (5) and data (4); the two digests were counted
    # already.
    assert len(digests) == 1 + 6 + 5 + 4 - 2
    assert make_key().digest == base.digest
    assert base.folder_name == f"toy-{base.digest[:12]}"


def test_the_key_changes_with_every_field_of_a_config():
    base = StudyConfig()
    digests = {make_key(config=base.model_dump(mode="json")).digest}
    for name in StudyConfig.model_fields:
        value = 1 if getattr(base, name) is None else getattr(base, name) + 1
        digests.add(make_key(config=StudyConfig(**{name: value}).model_dump(mode="json")).digest)
    assert len(digests) == 1 + len(StudyConfig.model_fields)


def test_what_cannot_be_hashed_is_refused():
    for bad in ({"x": object()}, {"x": float("nan")}):
        with pytest.raises(ValueError, match="not plain data"):
            _ = make_key(config=bad).digest


@pytest.mark.parametrize(
    "fields", [{"limit": 0}, {"seed": -1}, {"chunk_size": 0}, {"sed": 1}, {"limit": True}]
)
def test_bad_configurations_are_refused_with_the_field(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        StudyConfig(**fields)


def test_budgets_default_to_the_published_shares():
    assert budget_counts(None, 576) == (192, 128, 64, 32)
    assert budget_counts(None, 144) == (48, 32, 16, 8)
    assert budget_counts((8, 16, 8), 144) == (16, 8)
    # A quarter of 144 is 36; of shares and counts that come to the same, one is left.
    assert budget_counts((8, 0.25, 36), 144) == (36, 8)
    with pytest.raises(
        ValueError, match="budget 145 is not a whole number of tokens from 1 to 144"
    ):
        budget_counts((145,), 144)


def test_shares_of_the_tokens_are_noted_with_the_counts_they_became():
    class Swept(StudyConfig):
        budgets: Budgets | None = None

    assert (
        requested_shares(StudyConfig(), {})
        == requested_shares(Swept(), {"budgets": [48]})
        == requested_shares(Swept(budgets=(48,)), {})
        == ()
    )
    asked = Swept(budgets=(0.25, 8))
    assert requested_shares(asked, {"budgets": [36, 8]}) == (
        "budgets asked for: 0.25, 8; as tokens: 36, 8",
    )
    for wrong in (0.0, 1.5, -0.2):
        with pytest.raises(ValueError, match="budgets"):
            Swept(budgets=(wrong,))


def test_scrubbing_takes_out_paths_users_and_secrets():
    environment = {"MY_API_KEY": "abcdef123456", "HOME": "/home/alice"}
    text = (
        "run --model=/home/alice/weights/glamm --data ~/coco --out ../runs "
        "--key abcdef123456 hf_abcdefghijkl a/b"
    )
    assert provenance.scrub(text, environment) == (
        "run --model=.../glamm --data .../coco --out ../runs --key *** *** a/b"
    )


def test_a_token_in_the_environment_does_not_reach_the_record(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secretsecret42")
    monkeypatch.setattr(
        sys, "argv", ["/usr/bin/litelvlm", "study", "--model", "/home/bob/m", "secretsecret42"]
    )
    with open_run(tmp_path, make_key(), 1) as run:
        write_parts(run, [0])
    text = (run.folder / "run.json").read_text() + (run.folder / "config.yaml").read_text()
    assert "secretsecret42" not in text
    assert "/home" not in text
    assert str(Path.home()) not in text
    assert read_record(run.folder).command == "litelvlm study --model .../m ***"


def test_random_weights_have_a_fingerprint():
    def model(seed):
        torch.manual_seed(seed)
        return torch.nn.Linear(3, 2)

    first, again, other = (fingerprint(model(seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_determinism_is_set_and_recorded():
    before = torch.are_deterministic_algorithms_enabled()
    try:
        flags = make_deterministic(3)
        first = torch.rand(2)
        assert flags == determinism_flags()
        assert flags["deterministic_algorithms"] == "True"
        make_deterministic(3)
        assert torch.equal(first, torch.rand(2))
    finally:
        torch.use_deterministic_algorithms(before)


# --- summaries ------------------------------------------------------------------------------------


def test_a_summary_comes_back_with_its_types(tmp_path):
    frame = pd.DataFrame(
        {"method": ["a", "b"], "n": [1, 2], "value": [0.25, float("nan")], "ok": [True, False]}
    )
    claim = make_claim(
        "H1",
        "S.",
        Estimate(0.1, float("nan"), float("nan"), 1, 2, "undefined: one image"),
        0.0,
        "none",
    )
    with open_run(tmp_path, make_key(), 1) as run:
        run.write_summary(
            Summary(
                study="toy",
                key=run.key.digest,
                partial=False,
                counts=Counts(expected=2, done=2),
                claims=(claim,),
                interpretation="Nothing.",
                tables={"t": Table.from_frame(frame)},
            )
        )
        write_parts(run, [0])
    summary = read_summary(run.folder)
    pd.testing.assert_frame_equal(summary.table("t"), frame)
    assert summary.claims[0].verdict == "undetermined"
    assert "NaN" not in (run.folder / "summary.json").read_text()
    with pytest.raises(ValueError, match="no table 'u'"):
        summary.table("u")
    with pytest.raises(FileNotFoundError, match=r"no summary\.json"):
        read_summary(tmp_path)


def test_the_record_of_a_module_names_the_module():
    code = "from litelvlm.analysis.runs.origin.provenance import command; print(command())"
    script = f"import sys, types; sys.argv = ['/x/litelvlm/__main__.py', 'study']; {code}"
    plain = run_python(["-c", script])
    assert plain.stdout.strip() == "__main__.py study"
    spec = "sys.modules['__main__'].__spec__ = types.SimpleNamespace(parent='litelvlm')"
    named = run_python(["-c", script.replace(code, f"{spec}; {code}")])
    assert named.stdout.strip() == "python -m litelvlm study"
