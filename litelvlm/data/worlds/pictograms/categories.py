"""The categories of the world and the emoji that show each of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from litelvlm.names import check_name

MANY = 3
"""Pictures from which a category keeps its last one apart for held-out scenes."""
Appearance = Literal["all", "seen", "unseen"]


@dataclass(frozen=True)
class Category:
    """One category.

    Attributes:
        name: As COCO calls it; what expressions say.
        kind: COCO's supercategory.
        emoji: Character sequences that show it, each a picture of its own.
        never_with: Categories that its pictures show too, so they never share a scene with it.
    """

    name: str
    kind: str
    emoji: tuple[str, ...]
    never_with: tuple[str, ...] = ()


def _entry(kind: str, name: str, emoji: str, never_with: tuple[str, ...] = ()) -> Category:
    return Category(name, kind, tuple(emoji.split()), never_with)


# The order decides the place of each picture in the atlas and the ids of categories.
_TABLE = (
    _entry("person", "person", "🧍 🧍‍♀️ 🚶 🏃 🧍‍♂️ 💃 🚶‍♀️ 🏃‍♀️"),
    _entry("vehicle", "bicycle", "🚲"),
    _entry("vehicle", "car", "🚗 🚙 🚘 🚕 🏎 🚖"),
    _entry("vehicle", "motorcycle", "🏍 🛵"),
    _entry("vehicle", "airplane", "✈ 🛩 🛬"),
    _entry("vehicle", "bus", "🚌 🚍 🚎"),
    _entry("vehicle", "train", "🚂 🚆 🚄 🚋 🚃 🚅"),
    _entry("vehicle", "truck", "🚚 🚛 🛻 🚒"),
    _entry("vehicle", "boat", "⛵ 🚤 🛶 🚢 🛥"),
    _entry("outdoor", "traffic light", "🚦 🚥"),
    _entry("outdoor", "stop sign", "🛑"),
    _entry("animal", "bird", "🐦 🐤 🦅 🦆 🦉 🐧 🦜 🦢 🦩 🐓"),
    _entry("animal", "cat", "🐈 🐱 🐈‍⬛"),
    _entry("animal", "dog", "🐕 🐶 🦮 🐩"),
    _entry("animal", "horse", "🐎 🐴"),
    _entry("animal", "sheep", "🐑 🐏"),
    _entry("animal", "cow", "🐄 🐮 🐂"),
    _entry("animal", "elephant", "🐘"),
    _entry("animal", "bear", "🐻 🐻‍❄️ 🐼", ("teddy bear",)),
    _entry("animal", "zebra", "🦓"),
    _entry("animal", "giraffe", "🦒"),
    _entry("accessory", "backpack", "🎒"),
    _entry("accessory", "umbrella", "☂ 🌂 ⛱"),
    _entry("accessory", "handbag", "👜 👛 👝"),
    _entry("accessory", "tie", "👔"),
    _entry("accessory", "suitcase", "🧳 💼"),
    _entry("sports", "frisbee", "🥏"),
    _entry("sports", "skis", "🎿"),
    _entry("sports", "snowboard", "🏂", ("person", "surfboard")),
    _entry("sports", "sports ball", "⚽ 🏀 🏐 🏈 🥎"),
    _entry("sports", "kite", "🪁"),
    _entry("sports", "skateboard", "🛹"),
    _entry("sports", "surfboard", "🏄", ("person", "snowboard")),
    _entry("sports", "tennis racket", "🎾", ("sports ball",)),
    _entry("kitchen", "bottle", "🍾 🍼 🧴"),
    _entry("kitchen", "wine glass", "🍷 🍸 🥂"),
    _entry("kitchen", "cup", "☕ 🥤 🍵"),
    _entry("kitchen", "fork", "🍴", ("knife",)),
    _entry("kitchen", "knife", "🔪 🗡"),
    _entry("kitchen", "spoon", "🥄"),
    _entry("kitchen", "bowl", "🥣 🍜 🥗", ("spoon",)),
    _entry("food", "banana", "🍌"),
    _entry("food", "apple", "🍎 🍏"),
    _entry("food", "sandwich", "🥪 🍔 🥙"),
    _entry("food", "orange", "🍊"),
    _entry("food", "broccoli", "🥦"),
    _entry("food", "carrot", "🥕"),
    _entry("food", "hot dog", "🌭"),
    _entry("food", "pizza", "🍕"),
    _entry("food", "donut", "🍩"),
    _entry("food", "cake", "🎂 🍰 🧁"),
    _entry("furniture", "chair", "🪑 💺"),
    _entry("furniture", "couch", "🛋"),
    _entry("furniture", "potted plant", "🪴"),
    _entry("furniture", "bed", "🛏"),
    _entry("furniture", "toilet", "🚽"),
    _entry("electronic", "tv", "📺"),
    _entry("electronic", "laptop", "💻"),
    _entry("electronic", "mouse", "🖱"),
    _entry("electronic", "keyboard", "⌨"),
    _entry("electronic", "cell phone", "📱"),
    _entry("indoor", "book", "📕 📗 📖 📚"),
    _entry("indoor", "clock", "⏰ 🕰 🕒"),
    _entry("indoor", "vase", "🏺 ⚱"),
    _entry("indoor", "scissors", "✂"),
    _entry("indoor", "teddy bear", "🧸", ("bear",)),
    _entry("indoor", "toothbrush", "🪥"),
)

CATEGORIES: Mapping[str, Category] = MappingProxyType({entry.name: entry for entry in _TABLE})
"""Every category by name, in the order of their ids."""
SUPERCATEGORIES: Mapping[str, str] = MappingProxyType({c.name: c.kind for c in _TABLE})
"""Every category with its supercategory, in the order of their ids."""


def pictures() -> tuple[tuple[str, str], ...]:
    """(category, emoji) of every picture, in the order of the atlas."""
    return tuple((entry.name, emoji) for entry in _TABLE for emoji in entry.emoji)


@dataclass(frozen=True)
class Inventory:
    """What scenes may show: some categories, and some of their pictures.

    Attributes:
        categories: Names; all by default.
        appearance: "seen" leaves out the last picture of each category that has at least three,
            "unseen" shows that one alone (and of the other categories what there is), "all" shows
            every picture.

    Raises:
        ValueError: If a category or the appearance is unknown, or a category is named twice.
    """

    categories: tuple[str, ...] = tuple(CATEGORIES)
    appearance: Appearance = "all"

    def __post_init__(self) -> None:
        for name in self.categories:
            check_name(name, CATEGORIES, "category")
        check_name(self.appearance, ("all", "seen", "unseen"), "appearance")
        if not self.categories or len(set(self.categories)) < len(self.categories):
            raise ValueError(
                f"categories are {self.categories}; name at least one, and each of them once"
            )

    def pictures(self, category: str) -> tuple[int, ...]:
        """Atlas places of the pictures that may show a category."""
        return _PLACES[category, self.appearance]


def _places() -> dict[tuple[str, str], tuple[int, ...]]:
    found, start = {}, 0
    for entry in _TABLE:
        every = tuple(range(start, start + len(entry.emoji)))
        start += len(every)
        apart = len(every) >= MANY
        found[entry.name, "all"] = every
        found[entry.name, "seen"] = every[:-1] if apart else every
        found[entry.name, "unseen"] = every[-1:] if apart else every
    return found


_PLACES = _places()


def conflicts(category: str) -> frozenset[str]:
    """Categories that may not share a scene with this one."""
    named = {
        other.name
        for other in _TABLE
        if category in other.never_with or other.name in CATEGORIES[category].never_with
    }
    return frozenset(named)
