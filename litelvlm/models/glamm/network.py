"""GLaMM's parts and steps: encode an image, project and splice its tokens, decode masks."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaForCausalLM, SamModel, SamVisionConfig

from litelvlm.clip.hf import ClipTower
from litelvlm.data.images import ImageSource, open_image
from litelvlm.finite import require_finite
from litelvlm.models.base import Conversation, TowerModel
from litelvlm.models.glamm.batched.requests import grouped
from litelvlm.models.glamm.language.llama import seg_places
from litelvlm.models.glamm.masks.masker import SamMasker, encode_image, sam_dtype
from litelvlm.models.glamm.options import GlammOptions
from litelvlm.models.glamm.outputs import (
    SEG_STATE,
    ImageState,
    Spliced,
    TurnOutputs,
)
from litelvlm.models.glamm.preprocess import sam_pixel_values
from litelvlm.models.glamm.prompting.prompts import full_prompt, question
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX, GlammTokenizer
from litelvlm.models.image_cache import CachingModel
from litelvlm.models.segmenting import Stopwatch
from litelvlm.pruning import Selection

Network = TypeVar("Network", bound="GlammNetwork")


@dataclass
class Origin:
    """What weights are; all models that share them share it too.

    Attributes:
        digest: sha256 over weights, configuration and tokenizers, CLIP's included; "random" for
            random weights.
        folders: Of the files: the checkpoint's, then CLIP's; empty where there are no files.
    """

    digest: str
    folders: tuple[Path, ...] = ()


class GlammNetwork(nn.Module, TowerModel, CachingModel):
    """CLIP tower -> selection -> projector -> LLaMA -> state before [SEG] -> SAM mask decoder.

    Args:
        tower: CLIP's two towers.
        llama: The language model.
        projector: Visual width to LLM width, row-wise.
        seg_head: LLM width to SAM prompt width.
        sam: Image encoder and mask decoder.
        tokenizer: LLaMA's tokenizer with seven added tokens.
        name: The name it was loaded by.
        origin: What the weights are.

    Attributes:
        options: Open choices inside the model; ``with_options`` changes them.

    Source: GLaMM and LiteLVLM official code, referring-segmentation evaluation with given answers.
    """

    tower: ClipTower

    def __init__(
        self,
        *,
        tower: ClipTower,
        llama: LlamaForCausalLM,
        projector: nn.Module,
        seg_head: nn.Module,
        sam: SamModel,
        tokenizer: GlammTokenizer,
        name: str,
        origin: Origin,
    ) -> None:
        super().__init__()
        self.tower, self.llama, self.sam = tower, llama, sam
        self.projector, self.seg_head = projector, seg_head
        self.tokenizer, self.name, self.origin = tokenizer, name, origin
        self.options, self._plain_name = GlammOptions(), name

    @property
    def digest(self) -> str:  # type: ignore[override]  # it changes with the origin alone
        """Digest of the files of the weights (see ``Origin``)."""
        return self.origin.digest

    def becomes(self, name: str, digest: str, folders: tuple[Path, ...] = ()) -> None:
        """Say that the weights changed in place, also to all models that share them.

        Args:
            name: What this model is called from now on, without its options.
            digest: As in ``Origin``.
            folders: Likewise.
        """
        self.origin.digest, self.origin.folders = digest, folders
        self._plain_name, self.name = name, f"{name}{self.options}"

    def with_options(self: Network, **changes: object) -> Network:
        """A model of the same weights with other options; this model does not change.

        Args:
            **changes: Fields of ``GlammOptions``, except those that must be known when weights are
                loaded.

        Raises:
            ValueError: If a field or a value is unknown, or it is ``sam_dtype`` or
                ``mask_decoder_eps``.

        Example:
            >>> from litelvlm import load_model
            >>> load_model("embedded").with_options(read="seg").name
            'embedded[read=seg]'
        """
        options = self.options.replaced(changes)
        if (options.sam_dtype, options.mask_decoder_eps) != (
            self.options.sam_dtype,
            self.options.mask_decoder_eps,
        ):
            raise ValueError(
                "sam_dtype and mask_decoder_eps cannot change after loading; "
                "give them to load_model(..., options=)"
            )
        return self._with_options(options)

    def _with_options(self: Network, options: GlammOptions) -> Network:
        other, tower = copy(self), copy(self.tower)
        # The copy has its own table of parts; the parts are shared.
        other._modules = dict(self._modules)
        tower.preprocessing = replace(tower.preprocessing, resize=options.crop)
        other.tower, other.options, other.name = tower, options, f"{self._plain_name}{options}"
        other.tokenizer = self.tokenizer.with_style(options.tokenisation)
        return other

    @property
    def device(self) -> torch.device:
        """Where the language model lives."""
        return self.llama.device

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the language model."""
        return self.llama.dtype

    @property
    def attention_kernels(self) -> Mapping[str, str]:
        """Attention kernels of the towers and of the language model."""
        kernel = str(self.llama.config._attn_implementation)
        return {**super().attention_kernels, "llama": kernel}

    def question(self, expression: str, question_index: int = 0) -> str:
        """The sentence that asks about an expression (``prompting.prompts.QUESTIONS``)."""
        return question(expression, question_index)

    @property
    def sam_image_size(self) -> int:
        """Side of SAM's padded square in pixels."""
        return cast(int, cast(SamVisionConfig, self.sam.config.vision_config).image_size)

    @property
    def read_offset(self) -> int:
        """Distance from the state that predicts [SEG] to the state that masks are decoded from."""
        return int(self.options.read == "seg")

    @torch.inference_mode()
    def encode_image(self, image: ImageSource) -> ImageState:
        """Run CLIP and SAM on one image, or read their states from ``image_cache``.

        Raises:
            FileNotFoundError: If a path does not exist.
            ValueError: If the image cannot be read, or a state is NaN or infinite.
        """
        picture = open_image(image)
        if self.image_cache is None:
            return self._encode(picture)
        unpack = partial(ImageState.from_tensors, self.tower, self.device)
        return self.image_cache.state(
            picture, self.state_settings, self._encode, ImageState.tensors, unpack
        )

    @property
    def state_settings(self) -> str:
        """What decides an image's state besides weights, number type and device."""
        return f"crop={self.options.crop} sam_dtype={sam_dtype(self.sam)}"

    @property
    def encoders(self) -> Sequence[type]:
        """Classes whose modules compute an image's state."""
        return GlammNetwork, type(self.tower)

    def _encode(self, picture: Image.Image) -> ImageState:
        watch = Stopwatch(self.device)
        with watch("preprocess"):
            square, resized_size = sam_pixel_values(picture, self.sam_image_size)
            crop = self.tower.pixel_values(picture)
            square = square.to(self.device, sam_dtype(self.sam))
        with watch("clip_image"):
            clip = self.tower.image(crop)
        with watch("sam_encoder"):
            embeddings = encode_image(self.sam, square)
            require_finite(embeddings, "SAM's image embedding")
        return ImageState(
            clip, embeddings, (picture.height, picture.width), resized_size, watch.seconds
        )

    def project(self, patch_tokens: Float[Tensor, "*b d"]) -> Float[Tensor, "*b e"]:
        """Project visual states into the language model's input space."""
        kind = next(self.projector.parameters()).dtype
        projected: Tensor = self.projector(patch_tokens.to(kind))
        return projected

    def splice(
        self,
        visual: Sequence[Float[Tensor, "_ e"]],
        conversations: Sequence[Conversation],
        selections: Sequence[Selection | None],
    ) -> Spliced:
        """Replace the image placeholder of each conversation by its projected visual tokens.

        What is at index i of the token ids, behind the placeholder, is at i + R - 1 of the spliced
        sequence of R visual tokens.
        """
        embeds, positions, lengths, starts, segs = [], [], [], [], []
        for tokens, conversation, selection in zip(visual, conversations, selections, strict=True):
            ids = self.tokenizer.encode(full_prompt(conversation))
            start, n_kept = ids.index(IMAGE_INDEX), len(tokens)
            before, after = ids[:start], ids[start + 1 :]
            text = self.llama.model.embed_tokens(torch.tensor(before + after, device=self.device))
            embeds.append(torch.cat([text[:start], tokens, text[start:]]))
            offsets = torch.arange(n_kept) if selection is None else selection.positions[0].cpu()
            span = n_kept if selection is None else selection.span
            positions.append(
                torch.cat(
                    [torch.arange(start), start + offsets, start + span + torch.arange(len(after))]
                )
            )
            lengths.append(len(embeds[-1]))
            starts.append(start)
            segs.append(tuple(i + n_kept - 1 for i in seg_places(ids, self.tokenizer.seg_id)))
        return Spliced(
            pad_sequence(embeds, batch_first=True),
            pad_sequence(positions, batch_first=True).to(self.device),
            tuple(lengths),
            tuple(starts),
            tuple(segs),
        )

    def visual_tokens(self, state: ImageState, selection: Selection | None) -> Float[Tensor, "r e"]:
        """Projected visual tokens of one image after a selection (all of them without one)."""
        tokens = state.clip.patch_tokens[0]
        if selection is None:
            return self.project(tokens)
        if selection.tokens is None:
            return self.project(tokens[selection.indices.to(tokens.device)])
        if selection.stage == "post_projector":
            return selection.tokens.to(self.dtype)
        return self.project(selection.tokens)

    @property
    def masker(self) -> SamMasker:
        """Decoder of all masks."""
        return SamMasker(self.sam, self.sam_image_size)

    def decode_masks(
        self, states: Sequence[ImageState], outputs: Sequence[TurnOutputs]
    ) -> list[tuple[Tensor, Tensor]]:
        """Mask logits and seg embeddings of each image's turns, those of one image in one call.

        The logits of an answer without [SEG] are minus infinity.

        Raises:
            ValueError: If another state or logit is NaN or infinite.
        """
        for turns in outputs:
            found = [place for place, one in enumerate(turns.found) if one]
            require_finite(turns.seg_states[found], SEG_STATE)
        embeds = [self.seg_head(turns.seg_states) for turns in outputs]
        logits = dict[int, Tensor]()
        for places in grouped([id(state) for state in states]):
            prompts = [embeds[place] for place in places]
            has_seg = [one for place in places for one in outputs[place].found]
            masker = self.masker.begin(states[places[0]])
            decoded = masker.decode_found(torch.cat(prompts), has_seg)
            logits |= dict(zip(places, decoded.split([*map(len, prompts)]), strict=True))
        return [(logits[place], seg) for place, seg in enumerate(embeds)]
