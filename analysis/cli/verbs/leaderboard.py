"""`litelvlm leaderboard`: one page from many result cards."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from litelvlm.analysis.cli.options import Common, require_writable


@dataclass(frozen=True, kw_only=True)
class Leaderboard(Common):
    """Put result cards side by side: methods by budget, who measured, and which cards disagree.

    A card is a small file that `litelvlm reproduce TABLE --card FILE` writes. Cards that are no
    card, are out of bounds or were changed after they were written are refused and named.

    Examples:
      litelvlm leaderboard benchmarks/results/cards
      litelvlm leaderboard cards --out board.html
      litelvlm leaderboard cards --json
    """

    folder: tyro.conf.Positional[Path]
    """Folder of cards (*.json)."""
    out: Path = Path("leaderboard.html")
    """The page."""
    json: bool = False
    """Print one JSON object instead of writing the page."""

    def run(self) -> int:
        """Write the page; 1 if a card was refused."""
        from litelvlm.analysis.cards.read import read_cards
        from litelvlm.analysis.pages.leaderboard import board_json, write_leaderboard

        found = read_cards(self.folder)
        for name, reason in found.refused.items():
            sys.stderr.write(f"refused: {name}: {reason}\n")
        if self.json:
            sys.stdout.write(json.dumps(board_json(found), allow_nan=False) + "\n")
        else:
            require_writable(self.out, folder=False)
            sys.stdout.write(f"{write_leaderboard(found, self.out)}\n")
        return int(bool(found.refused))
