"""How a ``config.json`` turns its positions, in the spelling of any release of transformers."""

from collections.abc import Mapping

from litelvlm.data.safe.shown import shown

_SPELLINGS = ("rope_scaling", "rope_parameters")  # before transformers 5, and since
_TYPES = ("type", "rope_type")
_KINDS = ("default", "mrope", None)  # "mrope": several axes, which scales nothing


def rotation(
    config: Mapping[str, object], where: str, known: tuple[str, ...] = ("rope_theta",)
) -> dict[str, object]:
    """What turns positions, by its name in transformers: ``rope_theta`` and what a family adds.

    Args:
        config: Fields of the language model.
        where: Their file, for messages.
        known: Numbers that the family reads.

    Returns:
        Those of ``known`` that are given.

    Raises:
        ValueError: If positions are scaled, a number is none of ``known``, or two places state
            different ones.

    Example:
        >>> rotation({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, "a file")
        {'rope_theta': 500000.0}
    """
    found = {name: config[name] for name in known if config.get(name) is not None}
    for spelling in _SPELLINGS:
        given = config.get(spelling)
        if given is None:
            continue
        numbers = dict(given) if isinstance(given, Mapping) else {"": given}
        scaled = any(numbers.pop(name, None) not in _KINDS for name in _TYPES)
        if scaled or not numbers.keys() <= set(known):
            raise ValueError(
                f"{where} has {spelling}={shown(given)}; positions that are scaled or turned "
                f"otherwise are not computed here (known: {', '.join(known)})"
            )
        for name, value in numbers.items():
            if found.setdefault(name, value) != value:
                raise ValueError(
                    f"{where} has {name}={shown(value)} in {spelling} and {shown(found[name])} "
                    "elsewhere; leave one of them"
                )
    return found
