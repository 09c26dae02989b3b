"""Ask a vision-language model about an image, with all visual tokens or fewer."""

from litelvlm.models.vlm.answering.load import load_answering_vlm
from litelvlm.models.vlm.answering.vlm import AnsweringVlm, VlmAnswer

__all__ = ["AnsweringVlm", "VlmAnswer", "load_answering_vlm"]
