"""`litelvlm leaderboard`: one page from many result cards."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from litelvlm.analysis.cli.options import Printing, require_writable
from litelvlm.analysis.cli.terminal import print_json


@dataclass(frozen=True, kw_only=True)
class Leaderboard(Printing):
    """Put result cards side by side: methods by budget, who measured, and which cards disagree.

    A card is a small file that `litelvlm reproduce TABLE --card FILE` writes. Cards that are no
    card, are out of bounds or were changed after they were written are refused and named. --json
    prints the scores and writes no page.

    Examples:
      litelvlm leaderboard benchmarks/results/cards
      litelvlm leaderboard cards --out board.html
      litelvlm leaderboard cards --json
    """

    folder: tyro.conf.Positional[Path]
    """Folder of cards (*.json)."""
    out: Path = Path("leaderboard.html")
    """File of the page to write."""

    def run(self) -> int:
        """Write the page; 1 if a card was refused."""
        from litelvlm.analysis.pages.cards import read_cards
        from litelvlm.analysis.pages.leaderboard import board_data, write_leaderboard

        cards, refused = read_cards(self.folder)
        for name, reason in refused.items():
            sys.stderr.write(f"refused: {name}: {reason}\n")
        if self.json:
            print_json(board_data(cards, refused))
        else:
            require_writable(self.out, folder=False)
            sys.stdout.write(f"{write_leaderboard(cards, refused, self.out)}\n")
        return int(bool(refused))

    def files_written(self) -> Sequence[Path]:
        """The page."""
        return () if self.json else (self.out,)
