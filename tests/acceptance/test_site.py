"""The documentation site builds without a network, and no page of it fetches anything."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_site_builds_and_fetches_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9"},
    )
    assert done.returncode == 0, done.stderr
    pages = {page.name: page.read_text() for page in tmp_path.glob("*.html")}
    assert {"index.html", "glossary.html", "reference.html", "commands.html"} <= set(pages)
    for name, page in pages.items():
        fetched = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)"', page)
        assert fetched == [], name
    assert "litelvlm segment photo.jpg" in re.sub("<[^>]+>", "", pages["commands.html"])
    assert "Segment what one or several expressions refer to" in pages["reference.html"]
