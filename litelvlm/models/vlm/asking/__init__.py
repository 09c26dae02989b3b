"""Ask a vision-language model about an image, with all visual tokens or fewer."""

from litelvlm.models.vlm.asking.load import load_asked_vlm
from litelvlm.models.vlm.asking.vlm import AskedVlm, VlmAnswer

__all__ = ["AskedVlm", "VlmAnswer", "load_asked_vlm"]
