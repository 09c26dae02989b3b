"""Conversations from a family's templates of questions and answers."""

from collections.abc import Sequence

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
    questions: Sequence[str],
    answers: Sequence[str],
    expressions: Sequence[str],
    question_index: int | Sequence[int] = 0,
    answer_index: int | Sequence[int] = 0,
) -> Conversation:
    """Fill a family's templates: a turn per expression, stripped and lower-cased.

    Args:
        questions: Question templates; "{}" stands for the expression.
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
    texts = tuple(clean(expression) for expression in expressions)
    asked = _per_turn(question_index, len(texts), "question_index")
    answered = _per_turn(answer_index, len(texts), "answer_index")
    return Conversation(
        texts,
        tuple(
            pick_template(questions, index, "question").format(text)
            for text, index in zip(texts, asked, strict=True)
        ),
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
