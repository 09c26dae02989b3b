"""Studies that are killed at any write go on to the same rows, claims and tables."""

import json
from pathlib import Path

from tests.warm import run_python


def test_a_study_killed_at_any_write_ends_in_the_same_run(tmp_path):
    script = Path(__file__).with_name("kills.py")
    done = run_python([script, tmp_path])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"sweep", "reversal"}, found
    for name, outcome in found.items():
        assert outcome["differs"] == [], (name, outcome)
        assert outcome["kills"] >= 4
        assert outcome["calls"] > 20  # all kinds of writes are among those counted
