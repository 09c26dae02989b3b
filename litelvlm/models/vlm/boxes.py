"""How families write boxes: what their numbers are measured in, and how they are asked for one.

An answer does not say what its numbers mean: [0, 0, 1, 1] may be a whole picture or one pixel. So
the format belongs to the family, and is never guessed from an answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from litelvlm.metrics.boxes import Box, BoxScale
from litelvlm.models.vlm.families import VlmFamily
from litelvlm.models.vlm.model import QueriedVlm, Vlm
from litelvlm.models.vlm.queries.pictures import GridReader, SquareReader
from litelvlm.names import check_name

BoxFormat = Literal["0-1", "0-1000", "pixels"]
"""Shares of the sides of what the model sees, thousandths of them, or pixels of the picture as the
processor resizes it. Left, top, right, bottom in each."""


@dataclass(frozen=True)
class BoxHabit:
    """How one family writes boxes.

    Attributes:
        format: What the numbers are measured in.
        prompt: How it is asked for a box; ``{}`` is the expression.
    """

    format: BoxFormat
    prompt: str


_REGION = "Please provide the bounding box coordinate of the region this sentence describes: {}"
_LOCATE = "Locate {}, output its bbox coordinates using JSON format."
_EVERY = 'Locate every object that matches the description "{}" in the image. '
_EVERY += "Report bbox coordinates in JSON format."
BOX_HABITS: Mapping[str, BoxHabit] = MappingProxyType(
    {
        # LLaVA's data and its issue 606: shares of the padded square.
        "llava": BoxHabit("0-1", f"{_REGION}."),
        # Its evaluation of RefCOCO, and issue 285: thousandths of the whole picture.
        "internvl": BoxHabit("0-1000", _REGION.replace("{}", "<ref>{}</ref>")),
        # Issues 866 (the first two) and 1721 (the prompt of the third) of QwenLM/Qwen3-VL.
        "qwen2_vl": BoxHabit("0-1000", _LOCATE),
        "qwen2_5_vl": BoxHabit("pixels", _LOCATE),
        "qwen3_vl": BoxHabit("0-1000", _EVERY),
        "qwen3_vl_moe": BoxHabit("0-1000", _EVERY),
        # Issue 114 of zai-org/GLM-V; the prompt is free.
        "glm4v": BoxHabit("0-1000", f"{_REGION}."),
        "glm46v": BoxHabit("0-1000", f"{_REGION}."),
    }
)
"""Families of which it is documented how they write boxes, by their name in transformers."""


def box_habit(family: VlmFamily, format: str | None, prompt: str | None) -> BoxHabit:
    """How a family writes boxes, with what the caller knows better.

    Args:
        family: The family.
        format: A ``BoxFormat``; None for that of the family.
        prompt: With ``{}`` for the expression; None for that of the family.

    Raises:
        ValueError: If the format is unknown, or left out for a family that is not in the table.
    """
    own = BOX_HABITS.get(family.model_type)
    if format is not None:
        check_name(format, get_args(BoxFormat), "box_format")
        own = BoxHabit(format, _REGION if own is None else own.prompt)  # type: ignore[arg-type]
    if own is None:
        raise ValueError(
            f"it is not documented how family {family.model_type!r} writes boxes; say what its "
            f"numbers are with box_format (--box-format): {', '.join(get_args(BoxFormat))}; and "
            f"give its prompt; documented are {', '.join(BOX_HABITS)}"
        )
    return own if prompt is None else BoxHabit(own.format, prompt)


def box_scale(model: Vlm, format: BoxFormat, height: int, width: int) -> BoxScale:
    """Where the numbers of a model's boxes lie in a picture of this size in pixels.

    Shares are of what the processor shows: the whole picture, squeezed or in tiles as it may be;
    the square that LLaVA's processor cuts out; or the square that pictures are padded to.

    Raises:
        ValueError: If this is not known of the model.
    """
    side = max(height, width)
    padding = ((side - width) // 2, (side - height) // 2) if model.pad else (0, 0)
    shown = (side, side) if model.pad else (height, width)
    reader = model.reader if isinstance(model, QueriedVlm) else None
    seen, reach = Box(0, 0, shown[1], shown[0]), (1.0, 1.0)
    if isinstance(reader, SquareReader):
        top, left, bottom, right = reader.view(*shown).crop.box
        seen = Box(left, top, right, bottom)
    else:
        refuse_framing(model)
    if format == "pixels":
        if not isinstance(reader, GridReader):
            raise ValueError(
                f"box_format 'pixels' needs the size that a picture is resized to, which is known "
                f"for qwen2_vl and qwen2_5_vl, not for {model.family.model_type!r}; take another"
            )
        layout = reader.view(*shown).layout
        cell = reader.patch * reader.merge
        reach = (float(layout.columns * cell), float(layout.rows * cell))
    elif format == "0-1000":
        reach = (1000.0, 1000.0)
    x, y = padding
    return BoxScale(Box(seen.left - x, seen.top - y, seen.right - x, seen.bottom - y), reach)


def refuse_framing(model: Vlm) -> None:
    """Refuse an image processor that cuts or pads pictures in a way that is not repeated here.

    Raises:
        ValueError: If it does.
    """
    stored = model.processor.image_processor.to_dict()
    # Tiles are as large as what such processors cut out of them, and the rows of padding are none.
    steps = [] if model.family.separators else ["do_center_crop", "do_pad"]
    found = [step for step in steps if stored.get(step)]
    if found:
        raise ValueError(
            f"the image processor of {model.name} has {' and '.join(found)} on, and it is not "
            f"known where boxes of family {model.family.model_type!r} then lie; switch it off"
        )
