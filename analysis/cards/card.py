"""A result card: what was measured, by whom, on which commit, with a digest over all of it.

Cards come from strangers. Every field has a type and bounds, and unknown fields are refused. The
digest shows that a card was changed after it was written. It is no signature: whoever wants to
deceive can compute it anew.
"""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from litelvlm.analysis.runs.outcome import Frozen

Text = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]
Word = Annotated[
    str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Size = Annotated[int, Field(ge=1, le=10**9, strict=True)]
Metric = Literal["ciou", "giou", "p50"]
_Texts = Annotated[dict[Word, Text], Field(max_length=40)]


class Bounded(Frozen):
    """A part of a card: closed, frozen, finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Score(Bounded):
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


class LeftOut(Bounded):
    """A method that has no scores at a budget.

    Attributes:
        method: Label of the method.
        budget: Tokens, or their share where every image has another number of tokens.
        reason: Why it cannot keep to the budget, or work with the model at all.
    """

    method: Word
    budget: (
        Annotated[int, Field(ge=0, le=10**6, strict=True)]
        | Annotated[float, Field(gt=0, lt=1, strict=True)]
    )
    reason: Text


class Result(Bounded):
    """The scores of one split.

    Attributes:
        data: Name, split, split_by and content digest, as in a run's key.
        n_images: Images that were asked.
        n_whole: Images of the whole split.
        note: What differs from the published split.
        protocol: How expressions are put into conversations.
        draws: Of the official protocol, or of random methods.
        n_tokens: Visual tokens before pruning.
        key: Of the run.
        rows: Digest over the pixel counts of all rows: equal rows have equal digests.
        failed: Expressions that failed.
        scores: By method, budget and metric.
        left_out: Methods without scores at a budget, and why.
    """

    data: _Texts
    n_images: Size
    n_whole: Size
    note: Text
    protocol: Word
    draws: Annotated[int, Field(ge=1, le=1000, strict=True)]
    n_tokens: Size
    key: Hex
    rows: Hex
    failed: Annotated[int, Field(ge=0, le=10**9, strict=True)]
    scores: Annotated[tuple[Score, ...], Field(min_length=1, max_length=3000)]
    left_out: Annotated[tuple[LeftOut, ...], Field(max_length=3000)] = ()

    @model_validator(mode="after")
    def _part_of_whole(self) -> "Result":
        if self.n_images > self.n_whole:
            raise ValueError(f"{self.n_images} images of a split of {self.n_whole}")
        keys = [(score.method, score.budget, score.metric) for score in self.scores]
        if len(set(keys)) < len(keys):
            raise ValueError("a method, budget and metric stand twice")
        left = [(entry.method, entry.budget) for entry in self.left_out]
        both = sorted(set(left) & {(method, budget) for method, budget, _ in keys})
        if both or len(set(left)) < len(left):
            raise ValueError("a method and budget are left out twice, or left out and scored")
        return self


class CardSource(Bounded):
    """A repository of the hub at a commit."""

    name: Word
    commit: Commit


class Body(Bounded):
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
        sources: Hub repositories at their commits; none where files were the user's own.
        results: One per split.
    """

    form: Literal[1]
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
    sources: Annotated[tuple[CardSource, ...], Field(max_length=20)]
    results: Annotated[tuple[Result, ...], Field(min_length=1, max_length=50)]

    @property
    def content_digest(self) -> str:
        """sha256 over all fields but those at their default.

        A card that was written before such a field was added keeps its digest.
        """
        plain = self.model_dump(mode="json", exclude={"digest"}, exclude_defaults=True)
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
