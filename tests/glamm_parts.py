"""The parts of GLaMM that tests drive by themselves; their homes stand here alone."""

from litelvlm.models.base import Conversation
from litelvlm.models.files import EMBEDDED
from litelvlm.models.glamm.language.llama import causal_mask, decode
from litelvlm.models.glamm.prompting.prompts import (
    ANSWERS,
    OPENING,
    QUESTIONS,
    SEG_TOKEN,
    conversation,
    full_prompt,
    question,
)

__all__ = [
    "ANSWERS",
    "EMBEDDED",
    "OPENING",
    "QUESTIONS",
    "SEG_TOKEN",
    "Conversation",
    "causal_mask",
    "conversation",
    "decode",
    "full_prompt",
    "question",
]
