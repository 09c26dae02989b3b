"""Masks and answers against the share of context tokens, on both bundled miniatures.

Usage: ``python benchmarks/context_trade.py [--limit 80] [--task gqa] [--out runs]``.

LiteLVLM runs with several shares of context, at several budgets, on the miniature GLaMM (cIoU) and
on the miniature LLaVA (accuracy on questions about the same images). Writes
``results/context_trade.json`` and the picture ``docs/pictures/context_trade.png``. Finished parts
are kept in ``--out``.
"""

import argparse
import json
from pathlib import Path

from common import store

from benchmarks.trade.picture import context_trade as draw
from benchmarks.trade.scores import context_trade
from litelvlm import load_model, load_refer, load_vlm
from litelvlm.figures import style

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "context_trade.png"


def main() -> None:
    """Measure, draw and store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, default=80, help="images of each side")
    parser.add_argument("--task", default="gqa")
    parser.add_argument("--out", default="runs")
    given = parser.parse_args()
    found = context_trade(
        load_model("embedded", device="cpu"),
        load_refer("embedded", split="val"),
        load_vlm("vlm:embedded", device="cpu"),
        given.task,
        limit=given.limit,
        out=given.out,
    )
    with style.styled():
        figure = draw(
            found.scores, found.crossings, "Miniatures: masks and answers against context"
        )
        PICTURE.write_bytes(style.encode(figure, "png")["png"])
    store(
        "context_trade",
        {
            "limit": given.limit,
            "task": given.task,
            "scores": json.loads(found.scores.to_json(orient="records")),
            "crossings": json.loads(found.crossings.to_json(orient="records")),
        },
    )


if __name__ == "__main__":
    main()
