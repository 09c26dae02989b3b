"""VideoGLaMM's templates of questions and answers, and the text of a conversation.

The official evaluation asks the first question; the others are those of its training.
"""

from litelvlm.data.dataset import clean
from litelvlm.models.requests import Conversation
from litelvlm.models.templates import pick_template

QUESTIONS = (
    "What is {{}} in this {medium}? Please respond with segmentation masks.",
    "Can you segment {{}} in this {medium}?",
    "Please locate {{}} in this {medium}.",
    "Perform spatial segmentation of {{}}",
)
"""Templates for an image or a video ("medium")."""
ANSWERS = (
    "It is [SEG].",
    "Sure, [SEG].",
    "Sure, it is [SEG].",
    "Sure, the segmentation result is [SEG].",
    "[SEG].",
)
IMAGE_TOKEN = "<image>"  # noqa: S105 - a placeholder in the prompt, no credential
SEG_TOKEN = "[SEG]"  # noqa: S105 - the same
END = "<|end|>"
SYSTEM = f"<|system|>\nYou are a helpful AI assistant.{END}"


def questions(frames: int) -> tuple[str, ...]:
    """The templates for a clip of so many frames; one frame is an image.

    Example:
        >>> questions(1)[2], questions(16)[2]
        ('Please locate {} in this image.', 'Please locate {} in this video.')
    """
    medium = "image" if frames == 1 else "video"
    return tuple(template.format(medium=medium) for template in QUESTIONS)


def question(expression: str, index: int = 0, frames: int = 1) -> str:
    """Put an expression, stripped and lower-cased, into a question template.

    Raises:
        ValueError: If it is empty, or there is no such template.
    """
    return pick_template(questions(frames), index, "question").format(clean(expression))


def full_prompt(conversation: Conversation, placeholders: int, marked: bool) -> str:
    """The whole text, with ``<image>`` where the visual tokens go.

    Args:
        conversation: Its questions and answers; with one answer less the last turn is open.
        placeholders: One for each frame that the language model sees. What lies from the first to
            the last one is replaced, so more than one stands for the tokens of a whole video.
        marked: Whether start and end tokens stand around them, of images or of videos.

    Source: official code, conversation ``phi3_instruct``.
    """
    kind = "im" if placeholders == 1 else "vid"
    start, end = (f"<{kind}_start>", f"<{kind}_end>") if marked else ("", "")
    first = f"{start}{IMAGE_TOKEN * placeholders}{end}\n{conversation.questions[0]}"
    asked = (first, *conversation.questions[1:])
    answered = (*(answer + END for answer in conversation.answers), "")
    turns = zip(asked, answered, strict=False)
    return SYSTEM + "".join(
        f"\n<|user|>\n{question}{END}\n<|assistant|>\n{answer}" for question, answer in turns
    )
