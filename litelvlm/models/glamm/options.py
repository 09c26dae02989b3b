"""Open choices inside a GLaMM as typed options; every default is the official code's choice."""

from dataclasses import dataclass
from typing import Annotated, Literal

from litelvlm.models.options import ModelOptions
from litelvlm.pruning.options import Bounds

ClipText = Literal["question", "expression", "caption", "average"]
Pooling = Literal["eos", "words", "no_sos"]
PatchLayer = Literal["second_last", "last"]
Read = Literal["before_seg", "seg"]
Tokenisation = Literal["official", "library"]
CAPTION = "a photo of {}"


@dataclass(frozen=True, kw_only=True)
class GlammOptions(ModelOptions):
    """Choices that paper, official code and common practice make differently or leave open.

    Attributes:
        crop: What CLIP sees of an image: "shortest" cuts the centre square, "pad" adds a border in
            CLIP's mean colour to make it square, "squash" stretches it.
        clip_text: Text that ranks visual tokens: the whole "question" sentence, the bare
            "expression", "a photo of" it ("caption"), or the "average" of the embeddings of
            question and expression.
        pooling: State of that text: at its end ("eos"), the mean over its word tokens ("words"), or
            at its end without the start token in the sequence ("no_sos").
        patch_layer: Patch states that are ranked: those the language model gets ("second_last"), or
            the "last".
        patch_norm: Whether the final layer norm is applied before they are projected into the joint
            space.
        tokenisation: Prompt pieces as in the checkpoint's training ("official"), or as today's
            library makes them ("library": blanks beside [SEG] become tokens, and pieces after a
            special token lose their leading blank).
        read: State a mask is decoded from: the one that predicts [SEG] ("before_seg"), or that of
            "[SEG]" itself.
        sam_dtype: Number type of SAM: the model's own ("model"), or "float32".
        mask_decoder_eps: Layer-norm epsilon of SAM's two-way blocks: 1e-5 as trained; 1e-6 is the
            library's default.

    Raises:
        ValueError: If a value is not one of these, or the epsilon is not a number above 0.
    """

    crop: Literal["shortest", "pad", "squash"] = "shortest"
    clip_text: ClipText = "question"
    pooling: Pooling = "eos"
    patch_layer: PatchLayer = "second_last"
    patch_norm: bool = True
    tokenisation: Tokenisation = "official"
    read: Read = "before_seg"
    sam_dtype: Literal["model", "float32"] = "model"
    mask_decoder_eps: Annotated[float, Bounds(0, without_low=True, without_high=True)] = 1e-5
