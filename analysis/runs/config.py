"""What every study is configured with: frozen, closed, and hashed into the run's name."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails

from litelvlm.models.base import StudiedModel
from litelvlm.pruning import check_budget


def _budget(value: object) -> object:
    """A number of tokens or a share, as Python's own number."""
    number: object = value.item() if isinstance(value, np.generic) else value
    share = isinstance(number, float) and 0 < number < 1
    if isinstance(number, bool) or not (share or isinstance(number, int)):
        raise ValueError(
            f"{number!r} is no budget; give a number of tokens, such as 48, or a share of them "
            "between 0 and 1"
        )
    return number


def _enough(budgets: tuple[int | float, ...]) -> tuple[int | float, ...]:
    for budget in budgets:
        if budget <= 0:
            raise ValueError(f"budget {budget} is too small; keep at least 1 visual token")
    return budgets


Tokens = Annotated[int, Field(strict=True)]
Share = Annotated[float, Field(gt=0, lt=1)]
Budget = Annotated[int | float, BeforeValidator(_budget)]
Budgets = Annotated[tuple[Budget, ...], Field(min_length=1), AfterValidator(_enough)]
Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]


class StudyConfig(BaseModel):
    """Fields common to all studies; numbers are finite, and booleans stand only in boolean fields.

    Attributes:
        seed: Of whatever the study draws at random.
        limit: Only the first so many images; the run is then marked partial.
        chunk_size: Images per part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: Index = 0
    limit: Count | None = None
    chunk_size: Count = 16

    def check_model(self, model: StudiedModel) -> None:
        """Refuse what no model of this family can do; a study's configuration may add to it.

        Raises:
            ValueError: If a field does not go with the model.
        """

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(  # type: ignore[explicit-any]  # pydantic's type of info is unknown at run time
        cls, value: object, info: Any
    ) -> object:
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise ValueError(f"a value other than yes and no is needed, got {value}")
        return value


def problems_of(error: ValidationError) -> str:
    """What a configuration is refused for, field by field, in one line."""
    found = {".".join(map(str, entry["loc"])): _problem(entry) for entry in error.errors()}
    # A list whose only entry is refused is also said to be too short.
    first = [place for place in found if not any(other.startswith(f"{place}.") for other in found)]
    return "; ".join(": ".join(filter(None, (place, found[place]))) for place in first)


def _problem(entry: ErrorDetails) -> str:
    """One refusal in words; a method's own refusal has no field to name."""
    if entry["type"] == "tuple_type":  # pydantic asks for a tuple, which no command line can write
        return f"{entry['input']} is not a list; write one in square brackets"
    return entry["msg"].removeprefix("Value error, ")


def budget_counts(budgets: tuple[int | float, ...] | None, n_tokens: int) -> tuple[int, ...]:
    """The budgets to use as token counts, largest first and each once.

    Args:
        budgets: Token counts, or shares of all tokens strictly between 0 and 1; None stands for the
            published ones: a third, two ninths, a ninth and an eighteenth (192, 128, 64, 32 of 576
            tokens; 48, 32, 16, 8 of 144).
        n_tokens: Visual tokens before pruning.

    Raises:
        ValueError: If one does not lie between 1 and ``n_tokens``, or is a share that keeps no
            token.

    Example:
        >>> budget_counts(None, 144), budget_counts((0.25, 8), 144)
        ((48, 32, 16, 8), (36, 8))
    """
    return tuple(sorted(set(_token_counts(budgets, n_tokens)), reverse=True))


def counts_by_budget(
    budgets: tuple[int | float, ...] | None, n_tokens: int, fewest: int
) -> dict[int, int]:
    """Tokens to keep of one image, by the name of the budget, largest first.

    Images may have different numbers of tokens. A budget is named by what it keeps of the image
    that has fewest, so that it has one name in every row. A token count keeps as many of every
    image; a share keeps more of a larger one. Of two budgets with one name the smaller is used.

    Args:
        budgets: As for ``budget_counts``.
        n_tokens: Visual tokens of the image before pruning.
        fewest: Those of the image that has fewest.

    Raises:
        ValueError: As ``budget_counts``.

    Example:
        >>> counts_by_budget((0.25, 8), 144, 36), counts_by_budget(None, 144, 144)
        ({9: 36, 8: 8}, {48: 48, 32: 32, 16: 16, 8: 8})
    """
    names, counts = _token_counts(budgets, fewest), _token_counts(budgets, n_tokens)
    # The last entry of a name stays.
    return dict(sorted(zip(names, counts, strict=True), reverse=True))


def _token_counts(budgets: tuple[int | float, ...] | None, n_tokens: int) -> list[int]:
    chosen = budgets or tuple(max(1, n_tokens * share // 18) for share in (6, 4, 2, 1))
    return [check_budget(budget, n_tokens) for budget in chosen]


def budget_record(
    budgets: tuple[int | float, ...] | None, token_counts: Sequence[int]
) -> dict[str, object]:
    """What the record of a run holds of its budgets, as a field of the configuration.

    These are token counts if all images have equally many tokens. If not, the budgets stay as they
    were asked for, since a share then keeps another number of each image.

    Args:
        budgets: As for ``budget_counts``.
        token_counts: How many visual tokens images have: each number once, fewest first.

    Raises:
        ValueError: As ``budget_counts``.

    Example:
        >>> budget_record((0.25,), (144,)), budget_record((0.25,), (36, 144))
        ({'budgets': [36]}, {})
    """
    found = budget_counts(budgets, token_counts[0])
    return {"budgets": list(found)} if len(token_counts) == 1 else {}


def requested_shares(config: StudyConfig, resolved: Mapping[str, object]) -> tuple[str, ...]:
    """A note for the record with the shares that were given as budgets, and their token counts."""
    given, used = getattr(config, "budgets", None) or (), resolved.get("budgets")
    if all(isinstance(budget, int) for budget in given) or not isinstance(used, Sequence):
        return ()
    counts = ", ".join(map(str, used))
    if not all(isinstance(budget, int) for budget in used):
        return (f"budgets asked for: {counts}; a share is taken of each image's own tokens",)
    return (f"budgets asked for: {', '.join(map(str, given))}; as tokens: {counts}",)
