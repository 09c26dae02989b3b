"""What users import from litelvlm itself: found late at run time, and by mypy and editors."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import litelvlm


def test_every_public_name_is_the_thing_of_its_home():
    for name, home in litelvlm._HOMES.items():
        assert getattr(litelvlm, name) is getattr(import_module(home), name)
    assert [name for name in dir(litelvlm) if name[0] != "_"] == sorted(litelvlm._HOMES)


def test_mypy_reads_the_same_names_from_the_same_homes():
    (guarded,) = (
        n for n in ast.parse(Path(litelvlm.__file__).read_text()).body if type(n) is ast.If
    )
    read = {alias.asname: line.module for line in guarded.body for alias in line.names}
    assert read == litelvlm._HOMES


def test_the_package_itself_loads_nothing_heavy():
    code = "import sys, litelvlm; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
