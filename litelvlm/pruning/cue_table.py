"""The table of cues: what a method may ask for, by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class Cue:
    """One declared cue.

    Attributes:
        source: What it depends on: the "image" alone, the "text" as well, or the "truth" (only an
            annotated image has it).
        axes: A letter for each. N tokens (frames x rows x columns, raster order in each frame, CLS
            left out), T texts, D width of the visual tokens, H that of the image tower's heads
            joined, P joint width, E head width, d language-model width, L its layers, C colour
            channels. D and H differ where tokens are merged or projected patches.
        meaning: What it holds.
    """

    source: Literal["image", "text", "truth"]
    axes: str
    meaning: str

    @property
    def shape(self) -> str:
        """The axes in print: "[N, D]"."""
        return f"[{', '.join(self.axes)}]"


CUES: Mapping[str, Cue] = MappingProxyType(
    {
        "patch_tokens": Cue(
            "image", "ND", "patch states of CLIP's second-last layer: what the projector receives"
        ),
        "cls_token": Cue("image", "D", "CLS state of the second-last layer"),
        "patch_embeds": Cue(
            "image", "NP", "visual_projection(post_layernorm(patch_tokens)), not normalised"
        ),
        "value_path_embeds": Cue(
            "image", "NP", "patches as values of CLIP's last block (MaskCLIP)"
        ),
        "surgery_embeds": Cue("image", "NP", "patches by value-value attention (CLIP Surgery)"),
        "clear_clip_embeds": Cue("image", "NP", "patches by query-query attention (ClearCLIP)"),
        "text_embeds": Cue("text", "TP", "projected [EOS] state of each text, not normalised"),
        "query": Cue(
            "image", "H", "CLS row of the last block's query projection, heads joined, unscaled"
        ),
        "keys": Cue("image", "NH", "patch rows of the last block's key projection, heads joined"),
        "values": Cue(
            "image", "NH", "patch rows of the last block's value projection, heads joined"
        ),
        "cls_key": Cue("image", "H", "CLS row of the last block's key projection, heads joined"),
        "cls_attention": Cue(
            "image",
            "N",
            "attention of CLS to the patches in the second-last block, mean over heads",
        ),
        "keys_mean": Cue("image", "NE", "patch keys of the second-last block, mean over heads"),
        "key_norm": Cue(
            "image", "N", "length of each patch's key in the second-last block, heads joined"
        ),
        "projected": Cue(
            "image", "Nd", "projector(patch_tokens): what the language model would receive"
        ),
        "late_states": Cue(
            "image", "ND", "patch states of the last third of CLIP's layers, mean over them"
        ),
        "colours": Cue("image", "NC", "mean red, green and blue of each token's cell, 0 to 1"),
        "rotary_cosine": Cue(
            "image",
            "N",
            "mean cosine of the language model's rotary angles at each unpruned position",
        ),
        "rotary_sine": Cue(
            "image",
            "N",
            "mean sine of the language model's rotary angles at each unpruned position",
        ),
        "llm_attention": Cue(
            "text", "NL", "attention of the unpruned language model's [SEG] query, mean over heads"
        ),
        "llm_prompt_attention": Cue("text", "NL", "the same for the last token of the question"),
        "llm_gradient": Cue(
            "text", "Nd", "gradient of the unpruned mask's mean logit by the projected tokens"
        ),
        "block_importance": Cue(
            "text",
            "N",
            "fall of the unpruned mask's soft Dice without the token's block of the grid",
        ),
        "external_similarity": Cue(
            "text", "N", "similarity of each token's cell with the text in another model"
        ),
        "input_similarity": Cue(
            "text",
            "N",
            "cosine of each projected token with the mean embedding of the text after it",
        ),
        "received_attention": Cue(
            "image",
            "N",
            "attention each token receives in the image tower's last block, mean over heads",
        ),
        "tower_value_norm": Cue(
            "image",
            "N",
            "length of each token's value in the image tower's last block, heads joined",
        ),
        "coverage": Cue(
            "truth",
            "N",
            "share of each token's cell that the true mask covers, 0 to 1; for oracles only",
        ),
        "box": Cue(
            "truth", "N", "1 in the cells of the box around the true mask, else 0; for oracles only"
        ),
    }
)

# Cues that only an annotated image can give.
TRUTH = frozenset(name for name, cue in CUES.items() if cue.source == "truth")
# Cues that run the language model before anything is pruned.
OF_LANGUAGE_MODEL = frozenset(
    {"llm_attention", "llm_prompt_attention", "llm_gradient", "block_importance"}
)
# Cues of CLIP's joint space, which need both of its towers.
_READOUTS = ("value_path_embeds", "surgery_embeds", "clear_clip_embeds")
OF_CLIP = frozenset({"patch_embeds", "text_embeds", *_READOUTS})
# Cues that stand in for CLIP's similarity in models without its text tower.
SUBSTITUTES = frozenset(
    {"external_similarity", "input_similarity", "received_attention", "tower_value_norm"}
)
# Cues that are the same for every text about an image.
OF_IMAGE = frozenset(name for name, cue in CUES.items() if cue.source == "image")
