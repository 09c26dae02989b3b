"""Reading a data set takes memory in proportion to its tables; a bomb takes little more."""

import json
import subprocess
import sys
from pathlib import Path

MIB = 2**20


def test_peak_memory_is_bounded(tmp_path):
    script = Path(__file__).with_name("reading_memory.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    tables = found.pop("table bytes")
    assert tables > 1.5 * MIB
    # What docs/reliability.md states: ten times the tables, whichever form they come from.
    assert MIB < found.pop("refer") < 10 * tables + 32 * MIB
    assert MIB < found.pop("parquet") < 10 * tables + 64 * MIB
    # 200 GB of text, and 18 and 19 million numbers, in files of 0.4 MB; lists in 0.6 MB and 6 MB.
    assert found.pop("parquet text") < 128 * MIB
    assert found.pop("parquet outline") < 384 * MIB
    assert found.pop("parquet row") < 640 * MIB
    # The bound of steps is lowered to 300,000 here: 300 bytes each at most.
    assert found.pop("pickle of lists") < 90 * MIB
    assert found.pop("json of lists") < 64 * MIB
    assert not found
