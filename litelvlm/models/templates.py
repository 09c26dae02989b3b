"""Conversations from a family's templates of questions and answers."""

from collections.abc import Callable, Sequence

from litelvlm.data.dataset import clean
from litelvlm.models.requests import Conversation


def pick_template(templates: Sequence[str], index: int, what: str) -> str:
    """A template by its number.

    Args:
        templates: Of the family.
        index: From 0.
        what: "question" or "answer", for messages.

    Raises:
        ValueError: If there is no such template.
    """
    if not 0 <= index < len(templates):
        raise ValueError(
            f"{what}_index {index} is not a {what} template; choose 0 to {len(templates) - 1}"
        )
    return templates[index]


def filled_conversation(
    question: Callable[[str, int], str],
    answers: Sequence[str],
    expressions: Sequence[str],
    question_index: int | Sequence[int] = 0,
    answer_index: int | Sequence[int] = 0,
) -> Conversation:
    """Fill a family's templates: a turn per expression.

    Args:
        question: The family's sentence about an expression, by the number of its template.
        answers: Answer templates.
        expressions: Referring expressions in the order of the turns.
        question_index: Question template of every turn, or one index per turn.
        answer_index: Answer template of every turn, or one index per turn.

    Raises:
        ValueError: If there is no expression, one is empty, or the indices do not fit.
    """
    if isinstance(expressions, str):
        raise ValueError(
            f"expressions must be a sequence of strings, got the string {expressions!r}; "
            "put it in a list"
        )
    if not expressions:
        raise ValueError("a conversation needs at least one expression, got none")
    asked = _per_turn(question_index, len(expressions), "question_index")
    answered = _per_turn(answer_index, len(expressions), "answer_index")
    return Conversation(
        tuple(map(clean, expressions)),
        tuple(map(question, expressions, asked)),
        tuple(pick_template(answers, index, "answer") for index in answered),
    )


def _per_turn(index: int | Sequence[int], n_turns: int, what: str) -> Sequence[int]:
    if isinstance(index, int):
        return [index] * n_turns
    if len(index) != n_turns:
        raise ValueError(
            f"{what} has {len(index)} entries for {n_turns} expressions; "
            "give one per expression or one for all"
        )
    return index
