"""Any open_clip ViT as a pair of towers, each family with its own crop.

OpenAI, LAION, DataComp, MetaCLIP, DFN, EVA and SigLIP weights are read. What a family lacks is an
error, never a stand-in: SigLIP has no class token, no projection of single patches and no causal
text, so ``cls_token``, ``query``, ``cls_key``, ``cls_attention``, ``patch_embeds``,
``text_attention`` and ``eos_index`` raise a ``ValueError`` there that names a way out. EVA02 lacks
nothing: its head is linear, and its rotary positions enter where the attention applies them.
ResNets, convolutional or hybrid towers, towers without CLS or attention pooling (CLIPA) and
captioners (CoCa) are refused by name.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from open_clip.model import CLIP, CustomTextCLIP
from torch import Tensor, nn

from litelvlm.clip.blocks import Block
from litelvlm.clip.open_clip_trunks import TextTrunk, image_trunk
from litelvlm.clip.preprocessing import Preprocessing, per_channel
from litelvlm.clip.tower import Tower
from litelvlm.names import check_name

_NO_CLS = (
    "its image tower has no class token; use keys, values or patch_tokens, "
    "or a method that needs no class token"
)
_NO_PATCH_SPACE = (
    "its joint space is reached by attention pooling, not by a projection; "
    "use tower.map_values(image.patch_tokens), the pooling's value path for each patch alone"
)
_NO_MERGING = (
    "tokens can be merged inside a Hugging Face CLIP tower only; choose a method of another stage"
)
_NOT_CAUSAL = (
    "its text tower is not causal and is read at its last position, padding included, so no [EOS] "
    "state stands for the sentence; use a family with causal text (OpenAI, LAION, DataComp, "
    "MetaCLIP, DFN, EVA02)"
)


class OpenClipTower(Tower):
    """An open_clip model with its tokenizer; it gives the states that ``ClipTower`` gives.

    Where the side of the crop is no multiple of the patch (SigLIP 384 / 14), the grid leaves out
    the last pixels, as the convolution does: ``grid[0] * patch_size`` pixels are covered.

    Args:
        clip: A model of ``open_clip.create_model``, or ``CLIP`` / ``CustomTextCLIP`` built
            directly.
        tokenizer: What ``open_clip.get_tokenizer`` gives for it.
        preprocessing: Crop and normalisation; if not given, those that ``create_model`` left on the
            model.

    Raises:
        ValueError: If the model is none of the known families, or its normalisation is unknown.
    """

    tokenizer: Any  # type: ignore[explicit-any]  # open_clip's tokenizers share no type

    def __init__(
        self,
        clip: nn.Module,
        tokenizer: Callable[[list[str]], Tensor],
        preprocessing: Preprocessing | None = None,
    ) -> None:
        super().__init__()
        # CoCa is neither: its text tower reads an appended class token.
        if not isinstance(clip, (CLIP, CustomTextCLIP)):
            raise ValueError(
                f"{type(clip).__name__} is not supported; give a CLIP or CustomTextCLIP of "
                "open_clip, not a captioner"
            )
        self.clip, self.tokenizer = clip, tokenizer
        self.trunk = image_trunk(clip.visual)
        height, width = clip.visual.image_size
        if height != width:
            raise ValueError(f"the crop is {height} x {width} pixels; only square crops are read")
        self.preprocessing = preprocessing or _preprocessing(clip.visual)
        self.text_trunk = TextTrunk(clip.text if isinstance(clip, CustomTextCLIP) else clip)
        self.family, self.n_prefix = self.trunk.family, self.trunk.n_prefix
        self.rotates = self.trunk.rotates
        lacks = {"token_merging": _NO_MERGING}
        if self.n_prefix == 0:
            lacks |= dict.fromkeys(("cls_token", "query", "cls_key", "cls_attention"), _NO_CLS)
        if self.trunk.pools_attention:
            lacks["patch_embeds"] = _NO_PATCH_SPACE
        if not self.text_trunk.causal:
            lacks |= dict.fromkeys(("text_attention", "eos_index"), _NOT_CAUSAL)
        self.lacks = lacks

    @property
    def image_size(self) -> int:
        """Side of the square crop in pixels."""
        return int(self.clip.visual.image_size[0])

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return self.image_size // self.grid[0]

    @property
    def grid(self) -> tuple[int, int]:
        """Token grid (rows, columns)."""
        return self.trunk.grid

    @property
    def image_blocks(self) -> Sequence[Block]:
        """Blocks of the image tower."""
        return self.trunk.blocks

    @property
    def n_heads(self) -> int:
        """Heads of the image tower's attention."""
        return self.trunk.n_heads

    def embed(self, pixel_values: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b s d"]:
        """States that enter the first block."""
        return self.trunk.embed(pixel_values)

    def block(self, index: int, hidden_states: Float[Tensor, "b s d"]) -> Float[Tensor, "b s d"]:
        """Run one block of the image tower."""
        return self.trunk.block(index, hidden_states)

    def placed(
        self, query: Float[Tensor, "b s d"], keys: Float[Tensor, "b s d"], block: int
    ) -> tuple[Tensor, Tensor]:
        """Queries and keys as the softmax sees them."""
        return self.trunk.placed(query, keys, block)

    def project(self, hidden_states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """Final layer norm and visual projection, applied to any states of the image tower.

        Raises:
            ValueError: If the family pools by attention.
        """
        self.require("patch_embeds")
        return self._alone(hidden_states)

    def map_values(self, hidden_states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """SigLIP's value path: each state is pooled alone, so its weight in the pooling is 1."""
        if not self.trunk.pools_attention:
            return super().map_values(hidden_states)
        return self._alone(hidden_states)

    def _alone(self, hidden_states: Tensor) -> Tensor:
        """Pool each state as a sequence of one."""
        states = hidden_states.to(self.dtype)
        return self.trunk.pool(states.reshape(-1, 1, states.shape[-1])).reshape(
            *states.shape[:-1], -1
        )

    def pool(self, last_hidden_state: Float[Tensor, "b s d"]) -> Float[Tensor, "b p"]:
        """The image embedding, from the last block's output."""
        return self.trunk.pool(last_hidden_state)

    def tokenize(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor, tuple[bool, ...]]:
        """Token ids and mask [T, L], and which sentences were longer than the tower reads.

        A causal tower's padding is cut to the longest sentence, which changes no state; SigLIP
        reads its padding, so there all positions stay and take part.
        """
        ids = self.tokenizer(list(sentences)).to(self.device)
        mask = torch.ones_like(ids)
        if self.text_trunk.causal:
            eos = self.text_trunk.eos(ids)
            ids = ids[:, : int(eos.max()) + 1]
            positions = torch.arange(ids.shape[1], device=ids.device)
            mask = (positions[None] <= eos[:, None]).to(ids.dtype)
        limit = self.text_trunk.context_length
        return ids, mask, tuple(length > limit for length in self._lengths(sentences))

    def _lengths(self, sentences: Sequence[str]) -> list[int]:
        """Tokens of each sentence before truncation, special ones included."""
        inner = getattr(self.tokenizer, "tokenizer", None)
        if inner is None:
            return [len(self.tokenizer.encode(sentence)) + 2 for sentence in sentences]
        cleaned = [self.tokenizer.clean_fn(sentence) for sentence in sentences]
        return [len(ids) for ids in inner(cleaned)["input_ids"]]

    def encode_text(
        self, input_ids: Int[Tensor, "t l"], attention_mask: Int[Tensor, "t l"]
    ) -> tuple[Tensor, Tensor]:
        """Projected text states [T, P] and the position [T] they are read at."""
        return self.text_trunk.encode(input_ids)

    def project_text(self, states: Float[Tensor, "*b d"]) -> Float[Tensor, "*b p"]:
        """Final norm and text projection, applied to any states of the text tower."""
        return self.text_trunk.project(states)

    @property
    def text_blocks(self) -> Sequence[Block]:
        """Blocks of the text tower."""
        return self.text_trunk.blocks

    @property
    def n_text_heads(self) -> int:
        """Heads of the text tower's attention."""
        return self.text_trunk.n_heads


def _preprocessing(visual: nn.Module) -> Preprocessing:
    """The crop and normalisation that ``create_model`` left on the image tower."""
    stored = getattr(visual, "preprocess_cfg", None)
    if stored is None:
        raise ValueError(
            "this open_clip model does not state its crop and normalisation; give preprocessing="
        )
    resize = check_name(
        stored["resize_mode"], ("shortest", "squash"), "resize mode of an open_clip model"
    )
    resample = check_name(
        stored["interpolation"], ("bicubic", "bilinear"), "interpolation of an open_clip model"
    )
    mean, std = per_channel(stored["mean"]), per_channel(stored["std"])
    return Preprocessing(mean, std, resize, resample)  # type: ignore[arg-type]  # checked
