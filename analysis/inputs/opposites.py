"""The lowest scores of a method beside its highest: a ranking is judged from both ends."""

from collections.abc import Sequence

from litelvlm.analysis.inputs.methods import Method
from litelvlm.pruning.methods.reverse import OPPOSITES, LayerReverse, Reverse


def with_opposites(methods: Sequence[Method]) -> tuple[Method, ...]:
    """Each method followed by its opposite, if it has one that is not among the methods.

    Example:
        >>> chosen = [Method.parse(label) for label in ("fastervlm", "fastv", "random")]
        >>> [method.label for method in with_opposites(chosen)]
        ['fastervlm', 'reverse(of=fastervlm)', 'fastv', 'layer_reverse(of=fastv)', 'random']
    """
    found = {method.label: method for method in methods}
    every: list[Method] = []
    for method in methods:
        other = opposite(method)
        every += [method] if other is None or other.label in found else [method, other]
    return tuple(every)


def opposite(method: Method) -> Method | None:
    """What keeps the tokens with the lowest scores, in the same order and at the same positions.

    None for a method that does not rank all tokens by one score.

    Example:
        >>> opposite(Method.parse("litelvlm(positions=original)")).label
        'litelvlm(direction=highest, positions=original)'
    """
    pruner = method.pruner()
    if method.name in OPPOSITES:
        other = Method.parse(OPPOSITES[method.name])
        kept = method.fields if other.name == method.name else _placing(method, other)
        return Method(name=other.name, preset=method.preset, fields={**kept, **other.fields})
    for kind in (Reverse, LayerReverse):
        if not kind.why_not(pruner):
            other = Method(name=kind.name, fields={"of": method.label})
            return Method(name=kind.name, fields={**other.fields, **_placing(method, other)})
    return None


def _placing(method: Method, other: Method) -> dict[str, str]:
    """Order and positions of a method, where those of the other differ."""
    own, its = method.pruner(), other.pruner()
    names = ("order", "positions")
    return {name: getattr(own, name) for name in names if getattr(own, name) != getattr(its, name)}
