"""What the README shows works as it stands there."""

import re
from pathlib import Path

from tests.warm import run_python

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")]


def python_blocks():
    return re.findall(r"^( *)```python\n(.*?)^\1```", README, re.DOTALL | re.MULTILINE)


def test_the_python_examples_run_in_a_row(tmp_path):
    code = (
        f"import sys\nsys.path.append({str(ROOT)!r})\n"
        "from tests.tiny_vlms.models import tiny_prompt\n"
        "from tests.tiny_vlms.stand_ins import use_tiny_models\n\nuse_tiny_models()\n"
        "inputs = tiny_prompt('llava')\n"
    )
    code += "\n".join(
        re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in python_blocks()
    )
    code += (
        "\nassert few.mask.shape == whole.mask.shape\n"
        "assert answer.shape[0] == 1\n"
        "assert len(kept) == len(few.selection.indices) == 48\n"
    )
    done = run_python(["-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mask agreement" in done.stdout


def test_links_between_the_pages_lead_somewhere():
    for page in PAGES:
        prose = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", prose):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
