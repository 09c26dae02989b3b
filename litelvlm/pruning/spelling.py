"""How a method is written on a command line: name, preset and fields in one text."""

import re
from typing import NamedTuple

import yaml

FAITHFUL = "faithful"
"""The preset that every method has: its defaults."""
_SPELLING = re.compile(r"(?P<name>[\w-]+)(:(?P<preset>[\w-]+))?(\((?P<fields>.*)\))?")
# Outside brackets: no closing one follows before an opening one.
_COMMA = re.compile(r",(?![^(\[]*[)\]])")


class Spelled(NamedTuple):
    """A method in parts.

    Attributes:
        name: Its name.
        preset: Its preset.
        fields: Fields that differ from the preset's.
    """

    name: str
    preset: str
    fields: dict[str, object]


def spelled(text: str) -> Spelled:
    """Read "name", "name:preset" or "name:preset(field=value, field=value)".

    Raises:
        ValueError: If it is of another form.

    Example:
        >>> spelled("litelvlm(order=raster)").fields
        {'order': 'raster'}
        >>> spelled("pyramiddrop:matched(layers=(1, 4, 8))")
        Spelled(name='pyramiddrop', preset='matched', fields={'layers': (1, 4, 8)})
    """
    found = _SPELLING.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"method {text!r} is not of the form name, name:preset or name(field=value, ...)"
        )
    pairs = [part.split("=", 1) for part in _COMMA.split(found["fields"] or "") if part.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"the fields of method {text!r} are not of the form field=value, field=value"
        )
    fields = {name.strip(): _value(value.strip(), text) for name, value in pairs}
    return Spelled(found["name"], found["preset"] or FAITHFUL, fields)


def _value(text: str, label: str) -> object:
    """A field's value: a word, a number, or whole numbers in round or square brackets."""
    if text == "None":
        return None
    try:
        whole = text[:1] + text[-1:] == "()"
        found = yaml.safe_load(f"[{text[1:-1]}]" if whole else text)
        return tuple(found) if whole else found
    except yaml.YAMLError as error:
        raise ValueError(
            f"the value {text!r} in method {label!r} cannot be read; check its brackets"
        ) from error
