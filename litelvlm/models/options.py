"""Open choices inside a model as typed options; every default is the official code's choice."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar, get_type_hints

from litelvlm.names import check_name
from litelvlm.pruning.options import check_field_values, choices_of, kinds_of

Options = TypeVar("Options", bound="ModelOptions")


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The choices of one family, as fields of a subclass.

    Raises:
        ValueError: If a value is not one that its field allows.
    """

    def __post_init__(self) -> None:
        self.check(vars(self))

    @classmethod
    def check(cls, values: Mapping[str, object]) -> None:
        """Refuse a field that does not exist, or a value that is not allowed.

        Raises:
            ValueError: Naming the field, the value and what is allowed.
        """
        for name in values:
            check_name(name, get_type_hints(cls), "option")
        check_field_values(cls, values)

    def replaced(self: Options, changes: Mapping[str, object]) -> Options:
        """These options with some fields changed.

        Raises:
            ValueError: If a field is unknown, or a value is not allowed.
        """
        self.check(changes)
        return replace(self, **changes)  # checked above

    @classmethod
    def parse(cls: type[Options], entries: Sequence[str]) -> Options:
        """Read options written as text, "field=value" each.

        Raises:
            ValueError: If an entry has another form, a field is unknown or named twice, or a value
                is not allowed.

        Example:
            >>> from litelvlm.models.glamm.options import GlammOptions
            >>> str(GlammOptions.parse(["read=seg", "patch_norm=false"]))
            '[patch_norm=False, read=seg]'
        """
        hints, values = get_type_hints(cls), dict[str, object]()
        for entry in entries:
            name, equals, text = entry.partition("=")
            if not equals:
                known = next(field for field in fields(cls) if field.default is not None)
                raise ValueError(
                    f"option {entry!r} is not of the form field=value, such as "
                    f"{known.name}={known.default}"
                )
            check_name(name, hints, "option")
            if name in values:
                raise ValueError(f"option {name} is given twice; give one value")
            values[name] = _value(text, hints[name], name)
        return cls().replaced(values)

    def changed(self) -> dict[str, object]:
        """The options that differ from the official code's."""
        return {
            e.name: getattr(self, e.name)
            for e in fields(self)
            if getattr(self, e.name) != e.default
        }

    def __str__(self) -> str:
        """The options that differ from the official code's, for names of models.

        Example:
            >>> from litelvlm.models.glamm.options import GlammOptions
            >>> str(GlammOptions(read="seg")), str(GlammOptions())
            ('[read=seg]', '')
        """
        text = ", ".join(f"{name}={value}" for name, value in self.changed().items())
        return f"[{text}]" if text else ""


def _value(text: str, kind: object, name: str) -> object:
    """A field's value from text; ``ModelOptions.check`` refuses wrong words."""
    if kind is bool:
        return check_name(text.lower(), ("true", "false"), name) == "true"
    if kind is not float:
        whole = int in kinds_of(kind) and re.fullmatch("-?[0-9]{1,18}", text)
        known = (choice for choice in choices_of(kind) if str(choice) == text)
        return next(known, int(text) if whole else text)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} {text!r} is not a number; give one, such as 1e-5") from None
