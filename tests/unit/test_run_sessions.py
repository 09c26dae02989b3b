"""Who computed which part of a run.

The first provenance is kept, later processes are added, shares are told apart.
"""

import pytest
from test_runs import make_key, write_parts

from litelvlm.analysis.api import read_record
from litelvlm.analysis.runs.folder import open_run
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.runs.origin import provenance


def test_the_start_of_a_resumed_run_is_kept(tmp_path):
    with open_run(tmp_path, make_key(), 2) as run:
        write_parts(run, [0])
        run.save("running", started="2020-01-01T00:00:00+00:00")
    with open_run(tmp_path, make_key(), 2) as run:
        write_parts(run, [1])
    assert read_record(run.folder).started == "2020-01-01T00:00:00+00:00"


def test_a_resumed_run_keeps_its_first_provenance_and_adds_sessions_that_computed_parts(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(provenance, "command", lambda: "litelvlm study toy")
    with open_run(tmp_path, make_key(), 2) as run:
        write_parts(run, [0])
    monkeypatch.setattr(provenance, "command", lambda: "litelvlm study toy --device cpu")
    with open_run(tmp_path, make_key(), 2) as run:
        write_parts(run, [1])
    monkeypatch.setattr(provenance, "command", lambda: "litelvlm report")
    with open_run(tmp_path, make_key(), 2):
        pass
    record = read_record(run.folder)
    assert record.command == "litelvlm study toy"
    assert [session.command for session in record.sessions] == [
        "litelvlm study toy",
        "litelvlm study toy --device cpu",
    ]
    assert (record.state, record.parts_done) == ("done", 2)


def test_shares_that_run_together_are_sessions_of_their_own(tmp_path):
    with (
        open_run(tmp_path, make_key(), 2, Shard(1, 2)) as first,
        open_run(tmp_path, make_key(), 2, Shard(2, 2)) as second,
    ):
        write_parts(first, [0])
        write_parts(second, [1])
    assert sorted(session.shard for session in read_record(first.folder).sessions) == ["1/2", "2/2"]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_bad_shards_are_refused(text):
    with pytest.raises(ValueError, match="i/n"):
        Shard.parse(text)


def test_shards_cover_every_part_once():
    assert Shard.parse("2/3") == Shard(2, 3)
    owners = [[shard for shard in range(1, 4) if Shard(shard, 3).owns(part)] for part in range(10)]
    assert all(len(owner) == 1 for owner in owners)
