"""What became of samples and methods: counts, and what was left out with the reason."""

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """A typed record of a run: it cannot change, and holds no unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Counts(Frozen):
    """What became of the samples (expressions).

    Attributes:
        expected: In the parts that are finished.
        done: With rows.
        skipped: Left out on purpose, by reason.
        failed: That raised an error.
    """

    expected: int = 0
    done: int = 0
    skipped: dict[str, int] = Field(default_factory=dict)
    failed: int = 0

    def told(self, samples: str = "") -> str:
        """The counts in words, for instance with ``samples`` " expressions"."""
        skipped = "".join(f", {n} skipped ({reason})" for reason, n in sorted(self.skipped.items()))
        return f"{self.done} of {self.expected}{samples} done, {self.failed} failed{skipped}"

    def __add__(self, other: "Counts") -> "Counts":
        """Sum of both."""
        reasons = sorted({*self.skipped, *other.skipped})
        return Counts(
            expected=self.expected + other.expected,
            done=self.done + other.done,
            skipped={
                reason: self.skipped.get(reason, 0) + other.skipped.get(reason, 0)
                for reason in reasons
            },
            failed=self.failed + other.failed,
        )


class Exclusion(Frozen):
    """A method that has no rows at a budget.

    Attributes:
        method: Label of the method.
        budget: Tokens, or their share where every image has another number of tokens.
        reason: Why it cannot keep to the budget, or work with the model at all.
    """

    method: str
    budget: int | float
    reason: str

    @property
    def words(self) -> str:
        """Method, budget and reason in one line."""
        return f"{self.method} at {self.budget:g}: {self.reason}"
