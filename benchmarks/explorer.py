"""Size and speed of an explorer page of 50 samples, 10 methods and 4 budgets.

Usage: ``python benchmarks/explorer.py``.

The page is made from a sweep of the miniature and opened in a headless Chromium again and again.
"Interactive" is the time from the start of the navigation until the page has run its script, drawn
the first picture and answers.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from common import spread, store

from litelvlm import load_model, load_refer
from litelvlm.analysis.api import complete_run
from litelvlm.analysis.pages.explore.page import build_page
from litelvlm.analysis.pages.explore.scores import SIGNALS
from litelvlm.analysis.studies import sweep

sys.path.append(str(Path(__file__).parents[1] / "tests" / "acceptance"))
from chromium import Chromium

METHODS = (
    "litelvlm",
    "high_similarity",
    "random",
    "uniform",
    "mask_oracle",
    "cdpruner",
    "vispruner",
    "visionzip",
    "fastv",
    "avgpool",
)
BUDGETS, SAMPLES = (48, 32, 16, 8), 50
DRAWN = (
    "typeof current === 'function' && current().picture.complete"
    " && current().picture.naturalWidth > 0"
)
TIMED = "(() => { const start = performance.now(); %s; return performance.now() - start; })()"


def main() -> None:
    """Make the page, open it, use it, and store what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="openings of the page")
    rounds = parser.parse_args().rounds
    model, data = load_model("embedded", device="cpu"), load_refer("embedded", split="val")
    with tempfile.TemporaryDirectory() as folder, Chromium() as browser:
        run = complete_run(
            sweep.STUDY,
            model,
            data,
            sweep.Config(methods=METHODS, budgets=BUDGETS, seeds=1, limit=8),
            Path(folder),
        )
        start = perf_counter()
        page = build_page(model, data, run, Path(folder) / "page.html", samples=SAMPLES)
        built = perf_counter() - start
        ready, slide, change = [], [], []
        for number in range(rounds + 1):
            browser.open(page)
            browser.wait(DRAWN)
            if number == 0:  # the first opening also starts the browser's processes
                continue
            ready.append(browser.js("performance.getEntriesByType('navigation')[0].loadEventEnd"))
            slide += [browser.js(TIMED % f"setStop({stop})") for stop in range(len(BUDGETS))]
            change += [browser.js(TIMED % f"openSample({sample})") for sample in (5, 20, 40)]
        shown = browser.js("data.samples.length")
        store(
            "explorer",
            {
                "samples": shown,
                "methods": len(METHODS),
                "budgets": len(BUDGETS),
                "signals": len(SIGNALS),
                "megabytes": page.stat().st_size / 1e6,
                "seconds_to_build": built,
                "milliseconds_until_interactive": spread(ready),
                "milliseconds_per_budget_step": spread(slide),
                "milliseconds_per_change_of_sample": spread(change),
            },
        )


if __name__ == "__main__":
    main()
