"""GLaMM's question and answer templates, and the conversation and prompt built from them."""

from collections.abc import Sequence

from litelvlm.data.dataset import clean
from litelvlm.models.base import Conversation
from litelvlm.models.templates import filled_conversation, pick_template

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
    return pick_template(QUESTIONS, index, "question").format(clean(expression))


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
    return filled_conversation(question, ANSWERS, expressions, question_index, answer_index)
