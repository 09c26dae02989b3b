"""Read cards of strangers: bounded in size, every field checked, a changed one refused."""

from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from litelvlm.analysis.cards.card import Card
from litelvlm.analysis.runs.config import problems_of
from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.shown import shown
from litelvlm.names import printable

MAX_BYTES = 4_000_000
MAX_CARDS = 1_000
MAX_TEXT = 500
"""Characters of a message about one card."""


def read_card(path: Path) -> Card:
    """Read one card.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is too large, no JSON, no card, out of bounds, or changed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no card {path}")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{path} has {size:,} bytes; a card has at most {MAX_BYTES:,}")
    try:
        return Card.model_validate(read_json(path.read_bytes()))
    except ValidationError as error:
        raise ValueError(
            f"{path} is not a valid card: {printable(problems_of(error))[:MAX_TEXT]}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a card: {shown(str(error))}") from error


class Cards(NamedTuple):
    """The cards of a folder.

    Attributes:
        cards: By file name.
        refused: File name and reason of those that cannot be taken.
    """

    cards: dict[str, Card]
    refused: dict[str, str]


def read_cards(folder: Path) -> Cards:
    """Read every ``*.json`` of a folder, not of folders below it.

    A card that stands there twice counts once.

    Raises:
        FileNotFoundError: If there is no such folder, or no card in it.
        ValueError: If it holds too many.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; give a folder with cards")
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise FileNotFoundError(
            f"{folder} has no card (*.json); `litelvlm reproduce TABLE --card FILE` makes one"
        )
    if len(paths) > MAX_CARDS:
        raise ValueError(f"{folder} holds {len(paths)} cards; at most {MAX_CARDS} make one page")
    cards, refused = dict[str, Card](), dict[str, str]()
    for path in paths:
        try:
            card = read_card(path)
        except (ValueError, OSError) as error:
            refused[path.name] = str(error)
            continue
        if any(card.digest == other.digest for other in cards.values()):
            refused[path.name] = "the same card stands there under another name; it counts once"
        else:
            cards[path.name] = card
    return Cards(cards, refused)
