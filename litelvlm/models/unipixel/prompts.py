"""UniPixel's words: questions, answers, and the chat around them.

Source: official code, questions of the evaluation and answers of the training data.
"""

from collections.abc import Sequence
from functools import partial

from litelvlm.models.requests import Conversation
from litelvlm.models.templates import filled_conversation, pick_template

QUESTIONS = (
    "Please segment the {} in this {media}.",
    "{} Please provide the segmentation mask.",
    "{} Please provide the segmentation mask and explain why.",
    "{} Please answer the question and provide the segmentation mask.",
    "Please segment the object according to the description: {}",
)
"""Question templates: for phrases, and for sentences, reasons, questions and descriptions."""
ANSWERS = (
    "The target is [SEG].",
    "The segmentation result is [SEG].",
    "Sure, the segmentation mask is [SEG].",
    "Sure, it is [SEG].",
    "[SEG].",
)
"""Answer templates."""
SEG, SEG_WORD = "<|seg|>", "[SEG]"
"""The token of a mask, and what conversations write for it."""
VIDEO_PAD = "<|video_pad|>"
END = "<|im_end|>"
_SYSTEM = f"<|im_start|>system\nYou are a helpful assistant.{END}\n"
_VISION = f"<|vision_start|>{VIDEO_PAD}<|vision_end|>"


def phrase(expression: str) -> str:
    """An expression without its points and its article, as the first template takes it.

    Points go on both ends. The first letter is lowered. Each of "the", "an" and "a" goes once, in
    this order.

    Raises:
        ValueError: If nothing but points and blanks is left.

    Example:
        >>> phrase("The dog on the left."), phrase("THE DOG"), phrase("a the dog")
        ('dog on the left', 'tHE DOG', 'the dog')
    """
    text = expression.strip(".")
    if not text.strip(" ."):
        raise ValueError(
            f"the expression {expression!r} has no words; give some, for example 'the dog'"
        )
    text = text[0].lower() + text[1:]
    for article in ("the ", "an ", "a "):
        text = text.removeprefix(article)
    return text


def question(expression: str, index: int = 0, frames: int = 1) -> str:
    """Put an expression into a question template; a clip of one frame is an image.

    Raises:
        ValueError: If the expression has no words or holds a token of the chat, or there is no such
            template.

    Example:
        >>> question("The dog on the left."), question("Which disc stops?", 1)
        ('Please segment the dog on the left in this image.', 'Which disc stops? Please provide \
the segmentation mask.')
    """
    template = pick_template(QUESTIONS, index, "question")
    words = phrase(expression)
    if "<|" in expression:
        raise ValueError(
            f"the expression {expression!r} holds '<|', which begins the model's own tokens, such "
            f"as {SEG} and {END}; leave it out"
        )
    media = "image" if frames == 1 else "video"
    return template.format(expression if index else words, media=media)


def conversation(
    expressions: Sequence[str],
    frames: int = 1,
    question_index: int | Sequence[int] = 0,
    answer_index: int | Sequence[int] = 0,
) -> Conversation:
    """A turn per expression, as the training data has several about one clip.

    Raises:
        ValueError: As ``question``, and if there is no expression or the indices do not fit.
    """
    asked = partial(question, frames=frames)
    return filled_conversation(asked, ANSWERS, expressions, question_index, answer_index)


def user_turn(sentence: str, first: bool) -> str:
    """What stands before an answer: the clip in the first turn, the question, who speaks next.

    Args:
        sentence: The question.
        first: Whether it is the first turn.
    """
    before = f"{_SYSTEM}<|im_start|>user\n{_VISION}" if first else "\n<|im_start|>user\n"
    return f"{before}{sentence}{END}\n<|im_start|>assistant\n"


def answer_text(answer: str) -> str:
    """An answer as the model reads it."""
    return answer.replace(SEG_WORD, SEG) + END
