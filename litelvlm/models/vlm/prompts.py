"""Questions about a referring expression, and the prompt that asks one with an image."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

QUESTIONS = (
    "Where is {} in the image?",
    "Is there {} in the image? Answer yes or no.",
    "Describe {} in one short sentence.",
    "What is next to {} in the image?",
)
"""Question templates; their answers depend on the referent."""


def question(expression: str, index: int = 0) -> str:
    """Put an expression into a question template.

    Raises:
        ValueError: If there is no such template, or the expression is empty.

    Example:
        >>> question("the red circle")
        'Where is the red circle in the image?'
    """
    if not 0 <= index < len(QUESTIONS):
        raise ValueError(
            f"question_index {index} is not allowed for a model that answers in words; it has "
            f"templates 0 to {len(QUESTIONS) - 1}"
        )
    words = " ".join(expression.split()).lower()
    if not words:
        raise ValueError("the expression is empty; give words, for example 'the yellow giraffe'")
    return QUESTIONS[index].format(words)


@dataclass(frozen=True)
class Prompt:
    """The token ids of a question about one image.

    Attributes:
        ids: With one placeholder per visual token.
        start: Index of the first placeholder.
        n_tokens: Placeholders.
    """

    ids: Int[Tensor, "s"]
    start: int
    n_tokens: int


@dataclass(frozen=True)
class Prompter:
    """Makes prompts as the family's processor does.

    Attributes:
        tokenizer: The model's.
        template: Its chat template.
        image_token_id: Placeholder of a visual token.
    """

    tokenizer: PreTrainedTokenizerBase
    template: str
    image_token_id: int

    def text(self, sentence: str) -> str:
        """The prompt with one placeholder for the whole image."""
        content = [{"type": "image"}, {"type": "text", "text": sentence}]
        made = self.tokenizer.apply_chat_template(
            # Templates of these families read a list of parts.
            [{"role": "user", "content": content}],  # type: ignore[arg-type]
            chat_template=self.template,
            add_generation_prompt=True,
            tokenize=False,
        )
        return str(made)

    def prompt(self, sentence: str, n_tokens: int) -> Prompt:
        """Tokenise a question and repeat the placeholder once per visual token.

        Raises:
            ValueError: If the prompt does not hold one placeholder.
        """
        ids = [int(i) for i in self.tokenizer(self.text(sentence))["input_ids"]]
        found = ids.count(self.image_token_id)
        if found != 1:
            raise ValueError(
                f"the prompt has {found} image placeholders (token {self.image_token_id}) instead "
                "of one; give the tokenizer and the chat template that belong to this model"
            )
        start = ids.index(self.image_token_id)
        whole = [*ids[:start], *[self.image_token_id] * n_tokens, *ids[start + 1 :]]
        return Prompt(torch.tensor(whole), start, n_tokens)
