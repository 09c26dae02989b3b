"""The reproduced table for a terminal, and what it says in a sentence."""

import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from litelvlm.analysis.reproduce.lines import AGREEMENTS, Line
from litelvlm.analysis.reproduce.run import Reproduction
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.targets import get_target
from litelvlm.analysis.runs.messages.reasons import exclusion_lines
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE
from litelvlm.analysis.studies.sweep.claims import without_seg


def table_text(settings: Settings, found: Reproduction) -> str:
    """Published beside measured, split by split, with the notes that belong to it."""
    parts = [title(settings, found), *notes(settings, found), ""]
    for where, lines in found.parts:
        parts += [where, frame(lines).to_string(index=False), ""]
    return "\n".join([*parts, summary(found), ""])


def title(settings: Settings, found: Reproduction) -> str:
    """What the table is, and that it is of a miniature or of a part where it is."""
    more = []
    if any(split.miniature for split in found.splits):
        more.append("miniature: a rehearsal")
    if any(split.part for split in found.splits):
        kind, what = ("part", "clips") if settings.of_clips else ("balanced part", "images")
        more.append(f"a {kind}: at most {settings.images} {what} of a split")
    return get_target(settings.table).title + (f" ({'; '.join(more)})" if more else "")


def notes(settings: Settings, found: Reproduction) -> list[str]:
    """What a reader of the table must know."""
    target, splits = get_target(settings.table), found.splits
    said = [MINIATURE_NOTE] if any(split.miniature for split in splits) else []
    said += [split.data.count_note for split in splits]
    said += [f"{split.name}: {split.part_note}" for split in splits if split.part]
    said += [
        f"{split.name}: {split.run.record.counts.told(' expressions')}"
        for split in splits
        if split.run.record.counts.failed
    ]
    said += [without_seg(split.run.table("scores")) for split in splits if settings.of_clips]
    left_out = [line for split in splits for line in exclusion_lines(split.run.record.excluded)]
    said += dict.fromkeys(left_out)
    return [note for note in (*said, found.note, target.caution, target.interval) if note]


def frame(lines: Sequence[Line]) -> pd.DataFrame:
    """The lines as text, ready to print."""
    return pd.DataFrame([_texts(line) for line in lines])


def _texts(line: Line) -> dict[str, str]:
    digits = _digits(line)
    kept = str(line.budget) if line.budget == line.tokens else f"{line.budget} ({line.tokens})"
    known = math.isfinite(line.low) and math.isfinite(line.high)
    ends = f"[{line.low:+.{digits}f}, {line.high:+.{digits}f}]" if known else "-"
    return {
        "method": line.method + (f" ({line.label})" if line.label not in ("", line.method) else ""),
        "tokens": kept,
        "quantity": line.quantity,
        f"published [{line.unit}]": _number(line.published, f".{digits}f"),
        f"measured [{line.unit}]": _number(line.measured, f".{digits}f"),
        "difference": _number(line.difference, f"+.{digits}f"),
        "95 % interval": ends,
        "tells": "-" if math.isnan(line.tells) else f">= {line.tells:.{digits}f}",
        "images": str(line.n_images),
        "verdict": line.verdict,
    }


def _digits(line: Line) -> int:
    return 2 if line.unit == "x" else 1


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


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
