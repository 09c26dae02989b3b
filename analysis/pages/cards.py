"""A result card: what was measured, by whom, on which commit, with a digest over all of it.

Cards come from strangers. Every field has a type and bounds, and unknown fields are refused. The
digest shows that a card was changed after it was written. It is no signature: whoever wants to
deceive can compute it anew.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import (
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.runs.config import problems_of
from litelvlm.analysis.runs.messages.reasons import exclusion_lines
from litelvlm.analysis.runs.origin.beginning import now
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.studies.sweep import STUDY
from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.shown import shown
from litelvlm.names import printable

MAX_BYTES = 4_000_000
MAX_MESSAGE = 500
"""Characters of a message about one card."""
MAX_NOTE = 3000
Text = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]
Note = Annotated[str, StringConstraints(max_length=MAX_NOTE, pattern=r"^[^\x00-\x1f\x7f]*$")]
Word = Annotated[
    str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Unit = Annotated[float, Field(ge=0, le=1)]
Metric = Literal["ciou", "giou", "p50"]
Draws = Annotated[int, Field(ge=1, le=1000, strict=True)]
Size = Annotated[int, Field(ge=1, le=10**9, strict=True)]
_Texts = Annotated[dict[Word, Text], Field(max_length=40)]


class Score(Frozen):
    """One score.

    Attributes:
        method: Label of the pruning method; "none" keeps every token.
        budget: Visual tokens that were kept.
        metric: "ciou", "giou" or "p50".
        value: 0 to 1.
        low: Lower end of its 95 % interval over images; None if there is none.
        high: Upper end; None if there is none.
        n: Expressions.
    """

    method: Word
    budget: Annotated[int, Field(ge=0, le=10**6, strict=True)]
    metric: Metric
    value: Unit
    low: Unit | None
    high: Unit | None
    n: Size

    @model_validator(mode="after")
    def _ordered(self) -> "Score":
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends or none")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the interval [{self.low}, {self.high}] ends before it begins")
        return self


SPLIT = ("name", "split", "split_by")
"""Fields of data that name a split."""
Scores = Annotated[tuple[Score, ...], Field(min_length=1, max_length=3000)]


class Result(Frozen):
    """The scores of one split.

    Attributes:
        data: Name, split, split_by and content digest, as in a run's key.
        n_images: Images that were asked.
        n_whole: Images of the whole split.
        note: What differs from the published split, and which methods were left out and why.
        protocol: How expressions are put into conversations.
        draws: Of the official protocol, or of random methods.
        n_tokens: Visual tokens before pruning.
        key: Of the run.
        failed: Expressions that failed.
        scores: By method, budget and metric.
    """

    data: _Texts
    n_images: Size
    n_whole: Size
    note: Note
    protocol: Word
    draws: Draws
    n_tokens: Size
    key: Hex
    failed: Annotated[int, Field(ge=0, le=10**9, strict=True)]
    scores: Scores

    @model_validator(mode="after")
    def _part_of_whole(self) -> "Result":
        if self.n_images > self.n_whole:
            raise ValueError(f"{self.n_images} images of a split of {self.n_whole}")
        keys = [(score.method, score.budget, score.metric) for score in self.scores]
        if len(set(keys)) < len(keys):
            raise ValueError("a method, budget and metric stand twice")
        return self


class Body(Frozen):
    """Everything of a card but its digest.

    Attributes:
        form: Version of the form.
        table: What was reproduced.
        by: Who measured, in their own words; empty if they do not say.
        made: UTC.
        commit: Of the suite's checkout; None outside one.
        dirty: Whether its files differed from it.
        versions: Of the suite and its libraries.
        python: Version.
        platform: Operating system.
        machine: Processor, cores, threads, accelerator.
        model: Name, family, digest, number type, device and attention, as in a run's key.
        sources: Commits of hub repositories by name; none where files were the user's own.
        results: One per split.
    """

    form: Literal[2] = 2
    table: Word
    by: Text
    made: Word
    commit: Commit | None
    dirty: bool | None
    versions: _Texts
    python: Word
    platform: Text
    machine: _Texts
    model: _Texts
    sources: Annotated[dict[Word, Commit], Field(max_length=20)]
    results: Annotated[tuple[Result, ...], Field(min_length=1, max_length=50)]

    @field_validator("results")
    @classmethod
    def _once(cls, results: tuple[Result, ...]) -> tuple[Result, ...]:
        splits = Counter(
            "/".join((*(one.data.get(name, "?") for name in SPLIT), one.protocol))
            for one in results
        )
        twice = [split for split, count in splits.items() if count > 1]
        if twice:
            raise ValueError(f"the split {', '.join(twice)} stands twice and would count twice")
        return results

    @property
    def content_digest(self) -> str:
        """sha256 over all fields."""
        plain = self.model_dump(mode="json", exclude={"digest"})
        text = json.dumps(plain, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


class Card(Body):
    """A whole card.

    Attributes:
        digest: Over everything else.
    """

    digest: Hex

    @model_validator(mode="after")
    def _unchanged(self) -> "Card":
        if self.digest != self.content_digest:
            raise ValueError(
                "the card does not fit its digest: it was changed after it was written; "
                "take the original, or measure again"
            )
        return self


def sealed(body: Body) -> Card:
    """The card of a body."""
    return Card.model_validate(body.model_dump() | {"digest": body.content_digest})


class Split(NamedTuple):
    """One split of a card.

    Attributes:
        run: Its finished sweep.
        n_whole: Images of the whole split.
        note: What differs from the published split.
    """

    run: SavedRun
    n_whole: int
    note: str


def make_card(
    table: str, splits: Sequence[Split], by: str = "", sources: Sequence[tuple[str, str]] = ()
) -> Card:
    """The card of some finished sweeps of one model.

    Args:
        table: What was reproduced.
        splits: Sweeps, one per split.
        by: Who measured, in their own words.
        sources: Hub ids and their commits.

    Raises:
        ValueError: If one is not complete or no sweep, they are of different models, or a field is
            out of bounds.
    """
    records = [split.run.record for split in splits]
    for record in records:
        if record.study != STUDY.name or not record.complete:
            raise ValueError(
                f"a card is made of complete sweeps; this is a run of {record.study!r} with "
                f"{record.parts_done} of {record.n_parts} parts"
            )
        if record.model != records[0].model:
            raise ValueError("a card is about one model; make a card of each")
    taken = ("commit", "dirty", "versions", "python", "platform", "model")
    origin: dict[str, object] = {name: getattr(records[0], name) for name in taken}
    origin["machine"] = {name: str(value) for name, value in records[0].machine.items()}
    results = [_result(split) for split in splits]
    measured = {"table": table, "by": printable(by), "made": now(), "sources": dict(sources)}
    return sealed(Body.model_validate(origin | measured | {"results": results}))


def check_bounds(by: str, methods: Sequence[str], budgets: Sequence[int], draws: int) -> None:
    """Refuse what a card could not hold, before anything is measured.

    Raises:
        ValueError: Naming the field and its bounds.
    """
    number = {"value": 0.0, "low": None, "high": None, "n": 1}
    scores = [
        number | {"method": method, "budget": budget, "metric": metric}
        for method in methods
        for budget in budgets
        for metric in get_args(Metric)
    ]
    try:
        TypeAdapter(Text).validate_python(printable(by))
    except ValidationError as error:
        raise ValueError(f"--by {shown(by)}: {problems_of(error)}") from error
    try:
        TypeAdapter(Scores).validate_python(scores)
        TypeAdapter(Draws).validate_python(draws)
    except ValidationError as error:
        raise ValueError(
            f"--card: {problems_of(error)}; take fewer methods, tokens or draws, or leave --card "
            "out"
        ) from error


def _result(split: Split) -> Result:
    record, rows = split.run.record, split.run.rows
    scores = split.run.table("scores").replace({math.nan: None}).to_dict("records")
    note = "; ".join(filter(None, [split.note, *exclusion_lines(record.excluded)]))
    return Result(
        data=record.data,
        n_images=int(rows["image_id"].nunique()),
        n_whole=split.n_whole,
        note=" ".join(printable(note).split())[:MAX_NOTE],
        protocol=record.protocol,
        draws=int(rows["seed"].nunique()),
        n_tokens=int(rows.loc[rows["method"] == UNPRUNED, "budget"].iloc[0]),
        key=record.key,
        failed=record.counts.failed,
        scores=tuple(
            Score.model_validate({name: line[name] for name in Score.model_fields})
            for line in scores
        ),
    )


def read_card(path: Path) -> Card:
    """Read one card.

    Raises:
        ValueError: If the file is too large, no JSON, no card, out of bounds, or changed.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{path} has {size:,} bytes; a card has at most {MAX_BYTES:,}")
    try:
        return Card.model_validate(read_json(path.read_bytes()))
    except ValidationError as error:
        raise ValueError(
            f"{path} is not a valid card: {printable(problems_of(error))[:MAX_MESSAGE]}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a card: {shown(str(error))}") from error


def read_cards(folder: Path) -> tuple[dict[str, Card], dict[str, str]]:
    """Read every ``*.json`` of a folder, not of folders below it.

    A card that stands there twice counts once.

    Returns:
        Cards by file name, and the reason of each file that is refused.

    Raises:
        FileNotFoundError: If there is no card, or no such folder.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise FileNotFoundError(
            f"{folder} has no card (*.json); `litelvlm reproduce TABLE --card FILE` makes one"
        )
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
    return cards, refused
