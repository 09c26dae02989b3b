"""The reproduced table for a terminal, and what it says in a sentence."""

import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from litelvlm.analysis.reproduce.lines import AGREEMENTS, Line
from litelvlm.analysis.reproduce.run import Reproduction
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.targets import get_target
from litelvlm.analysis.runs.exclusions import exclusion_lines
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE


def table_text(settings: Settings, found: Reproduction) -> str:
    """Published beside measured, split by split, with the notes that belong to it."""
    parts = [title(settings, found), *notes(settings, found), ""]
    for where, lines in found.parts:
        parts += [where, frame(lines).to_string(index=False), ""]
    return "\n".join([*parts, summary(found), ""])


def title(settings: Settings, found: Reproduction) -> str:
    """What the table is, and that it is of a miniature or of a part where it is."""
    more = []
    if any(measured.miniature for measured in found.splits):
        more.append("miniature: a rehearsal")
    if any(measured.part for measured in found.splits):
        more.append(f"a balanced part: at most {settings.images} images of a split")
    return get_target(settings.table).title + (f" ({'; '.join(more)})" if more else "")


def notes(settings: Settings, found: Reproduction) -> list[str]:
    """What a reader of the table must know."""
    said = [MINIATURE_NOTE] if any(measured.miniature for measured in found.splits) else []
    said += [measured.note for measured in found.splits if measured.note]
    said += [f"{'/'.join(m.place)}: {m.part}" for m in found.splits if m.part]
    said += [
        f"{'/'.join(measured.place)}: {measured.run.record.counts.told(' expressions')}"
        for measured in found.splits
        if measured.run.record.counts.failed
    ]
    left_out = [
        line for measured in found.splits for line in exclusion_lines(measured.run.record.excluded)
    ]
    said += dict.fromkeys(left_out)
    target = get_target(settings.table)
    said += [found.overall.note] if found.overall.note else []
    return [*said, target.caution, target.kind.interval]


def frame(lines: Sequence[Line]) -> pd.DataFrame:
    """The lines as text, ready to print."""
    return pd.DataFrame([_texts(line) for line in lines])


def _texts(line: Line) -> dict[str, str]:
    digits = _digits(line)
    kept = str(line.budget) if line.budget == line.tokens else f"{line.budget} ({line.tokens})"
    return {
        "method": line.method + (f" ({line.label})" if line.label not in ("", line.method) else ""),
        "tokens": kept,
        "quantity": line.quantity,
        f"published [{line.unit}]": _number(line.published, digits),
        f"measured [{line.unit}]": _number(line.measured, digits),
        "difference": _signed(line.difference, digits),
        "95 % interval": _interval(line, digits),
        "tells": "-" if math.isnan(line.tells) else f">= {line.tells:.{digits}f}",
        "images": str(line.n_images),
        "verdict": line.verdict,
    }


def _digits(line: Line) -> int:
    return 2 if line.unit == "x" else 1


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}" if math.isfinite(value) else "-"


def _interval(line: Line, digits: int) -> str:
    if not (math.isfinite(line.low) and math.isfinite(line.high)):
        return "-"
    return f"[{line.low:+.{digits}f}, {line.high:+.{digits}f}]"


def summary(found: Reproduction) -> str:
    """How many lines have which verdict, and what each verdict means."""
    counts = Counter(line.verdict for line in found.lines)
    said = [
        f"{count} {verdict}: {AGREEMENTS[verdict]}."
        for verdict in AGREEMENTS
        if (count := counts[verdict])
    ]
    telling = [line for line in found.lines if math.isfinite(line.tells)]
    if telling:
        digits, unit = _digits(telling[0]), telling[0].unit
        low, high = (pick(line.tells for line in telling) for pick in (min, max))
        said.append(
            '"tells" is the smallest difference that so many images or rounds would show with a '
            f"power of 0.8: between {low:.{digits}f} and {high:.{digits}f} {unit} here. A smaller "
            "one cannot be distinguished from none."
        )
    return "\n".join(said)
