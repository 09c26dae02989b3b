"""Tiny random models in place of those that pages load from the hub."""

from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel

from tests.tiny_vlms.models import tiny_prompt, tiny_vlm

FAMILIES = {
    "llava-hf/llava-1.5-7b-hf": "llava",
    "Qwen/Qwen2.5-VL-7B-Instruct": "qwen2_5_vl",
    "OpenGVLab/InternVL3-8B-hf": "internvl",
    "HuggingFaceTB/SmolVLM-Instruct": "smolvlm",
}
"""Family of each hub id that a page loads."""


class TinyProcessor:
    """A processor that makes the same prompt of every conversation."""

    def __init__(self, hub_id: str) -> None:
        self.family = FAMILIES[hub_id]

    def apply_chat_template(
        self, conversation: list[object], **options: object
    ) -> dict[str, Tensor]:
        """One image and a question of six words."""
        return tiny_prompt(self.family)

    def decode(self, ids: Tensor, **options: object) -> str:
        """Numbers for words."""
        return " ".join(map(str, ids.tolist()))


def use_tiny_models() -> None:
    """Let transformers load these, in this process."""

    def model(hub_id: str, **options: object) -> PreTrainedModel:
        return tiny_vlm(FAMILIES[hub_id])

    AutoModelForImageTextToText.from_pretrained = model
    AutoProcessor.from_pretrained = TinyProcessor
