"""What every study is configured with: frozen, closed, and hashed into the run's name."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Budgets = Annotated[tuple[int, ...], Field(min_length=1)]


def _whole(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"a whole number is needed, got {value}")
    return value


Count = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
Index = Annotated[int, BeforeValidator(_whole), Field(ge=0)]


class StudyConfig(BaseModel):
    """Fields common to all studies.

    Attributes:
        seed: Of whatever the study draws at random.
        limit: Only the first so many images; the run is then marked partial.
        chunk_size: Images per part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Index = 0
    limit: Count | None = None
    chunk_size: Count = 16


def resolve_budgets(budgets: tuple[int, ...] | None, n_tokens: int) -> tuple[int, ...]:
    """The budgets to use, largest first and each once.

    Args:
        budgets: Token counts; None stands for the published ones as shares of all tokens: a third, two ninths, a
            ninth and an eighteenth (192, 128, 64, 32 of 576 tokens; 48, 32, 16, 8 of 144).
        n_tokens: Visual tokens before pruning.

    Raises:
        ValueError: If one does not lie between 1 and ``n_tokens``.

    Example:
        >>> resolve_budgets(None, 144)
        (48, 32, 16, 8)
    """
    chosen = budgets or tuple(max(1, n_tokens * share // 18) for share in (6, 4, 2, 1))
    for budget in chosen:
        if not 1 <= budget <= n_tokens:
            raise ValueError(f"budget {budget} does not lie between 1 and the {n_tokens} visual tokens of this model")
    return tuple(sorted(set(chosen), reverse=True))
