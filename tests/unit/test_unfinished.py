"""What an unfinished run says: how many parts are there, and the shares that are left."""

import pytest

from litelvlm.analysis.api import read_record
from litelvlm.analysis.pages.findings import missing_lines
from litelvlm.analysis.runs.messages.unfinished import unfinished_text


@pytest.mark.parametrize(
    ("begun", "parts", "said"),
    [
        (["1/1"], 8, "3 of 8 are there; run the same command again to continue"),
        (["1/4"], 8, "the rest belongs to --shard 2/4, 3/4, 4/4, here or"),
        (["1/4", "3/4"], 8, "the rest belongs to --shard 2/4, 4/4, here or"),
        (["2/4"], 3, "the rest belongs to --shard 1/4, 3/4, here or"),
        (["1/2", "2/2"], 8, "every share was begun; when none computes any more, run the same"),
        (["1/1", "1/2"], 8, "the rest belongs to --shard 2/2"),
    ],
)
def test_the_shares_that_are_left_are_named(saved_runs, begun, parts, said):
    record = read_record(saved_runs["sink"])
    sessions = [record.sessions[0].model_copy(update={"shard": shard}) for shard in begun]
    record = record.model_copy(
        update={
            **{"shard": begun[0], "sessions": tuple(sessions)},
            **{"n_parts": parts, "parts_done": min(3, parts - 1)},
        }
    )
    assert said in unfinished_text(record)
    assert (
        f"parts of sink are missing, {record.parts_done} of {parts} are there"
        in (missing_lines([record], {"H4"})[0])
    )
