"""GLaMM's question and answer templates, and the conversation and prompt built from them."""

from collections.abc import Sequence

from litelvlm.data.dataset import clean
from litelvlm.models.base import Conversation

# The order of the official list, so that a seeded draw of an index means the same sentence: four
# sentences with and the same four without their final mark, then four others likewise.
QUESTIONS: tuple[str, ...] = (
    "Can you segment the {} in this image?",
    "Please segment {} in this image.",
    "What is {} in this image? Please respond with segmentation mask.",
    "What is {} in this image? Please output segmentation mask.",
    "Can you segment the {} in this image",
    "Please segment {} in this image",
    "What is {} in this image? Please respond with segmentation mask",
    "What is {} in this image? Please output segmentation mask",
    "Could you provide a segmentation mask for the {} in this image?",
    "Please identify and segment the {} in this image.",
    "Where is the {} in this picture? Please respond with a segmentation mask.",
    "Can you highlight the {} in this image with a segmentation mask?",
    "Could you provide a segmentation mask for the {} in this image",
    "Please identify and segment the {} in this image",
    "Where is the {} in this picture? Please respond with a segmentation mask",
    "Can you highlight the {} in this image with a segmentation mask",
)
ANSWERS: tuple[str, ...] = (
    "It is [SEG].",
    "Sure, [SEG].",
    "Sure, it is [SEG].",
    "Sure, the segmentation result is [SEG].",
    "[SEG].",
)
SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
IMAGE_TOKEN = "<image>"  # noqa: S105 - a placeholder in the prompt, no credential
SEG_TOKEN = "[SEG]"  # noqa: S105 - the same
OPENING = f"The <im_start>{IMAGE_TOKEN}<im_end> provides an overview of the picture.\n"


def question(expression: str, index: int = 0) -> str:
    """Fill one question template; CLIP's text tower reads exactly this sentence too.

    The expression is inserted as it is, so "the the red car" is possible.

    Args:
        expression: Referring expression; stripped and lower-cased here.
        index: Template, 0 to 15.

    Raises:
        ValueError: If the expression is empty or the index is out of range.

    Example:
        >>> question("Left Man", 1)
        'Please segment left man in this image.'
    """
    return _pick(QUESTIONS, index, "question").format(clean(expression))


def full_prompt(conversation: Conversation) -> str:
    """The whole text, with ``<im_start><image><im_end>`` where the visual tokens go.

    Source: GLaMM official code, conversation ``llava_v1``.
    """
    questions = (OPENING + conversation.questions[0], *conversation.questions[1:])
    ends = (*(f" {answer}</s>" for answer in conversation.answers), "")
    turns = zip(questions, ends, strict=False)
    return f"{SYSTEM} " + "".join(f"USER: {question} ASSISTANT:{end}" for question, end in turns)


def conversation(
    expressions: Sequence[str],
    question_index: int | Sequence[int] = 0,
    answer_index: int | Sequence[int] = 0,
) -> Conversation:
    """Build the conversation about one image: a turn per expression; later turns see earlier ones.

    Args:
        expressions: Referring expressions in the order of the turns.
        question_index: Question template (0 to 15) of every turn, or one index per turn.
        answer_index: Answer template (0 to 4) of every turn, or one index per turn.

    Raises:
        ValueError: If there is no expression, one is empty, or the indices do not fit.

    Example:
        >>> full_prompt(conversation(["Dog"], 1, 1)).splitlines()[-1]
        'Please segment dog in this image. ASSISTANT: Sure, [SEG].</s>'
    """
    if isinstance(expressions, str):
        raise ValueError(
            f"expressions must be a sequence of strings, got the string {expressions!r}; "
            "put it in a list"
        )
    if not expressions:
        raise ValueError("a conversation needs at least one expression, got none")
    question_indices = _per_turn(question_index, len(expressions), "question_index")
    answer_indices = _per_turn(answer_index, len(expressions), "answer_index")
    return Conversation(
        tuple(clean(e) for e in expressions),
        tuple(question(e, i) for e, i in zip(expressions, question_indices, strict=True)),
        tuple(_pick(ANSWERS, i, "answer") for i in answer_indices),
    )


def _pick(templates: Sequence[str], index: int, what: str) -> str:
    if not 0 <= index < len(templates):
        raise ValueError(
            f"{what}_index {index} is not a {what} template; choose 0 to {len(templates) - 1}"
        )
    return templates[index]


def _per_turn(index: int | Sequence[int], n_turns: int, what: str) -> Sequence[int]:
    if isinstance(index, int):
        return [index] * n_turns
    if len(index) != n_turns:
        raise ValueError(
            f"{what} has {len(index)} entries for {n_turns} expressions; "
            "give one per expression or one for all"
        )
    return index
