"""GLaMM's parts and the steps they take: encode an image, project and splice its tokens, decode masks."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaForCausalLM, SamModel

from litelvlm.clip.hf import ClipTower
from litelvlm.data.images import open_image
from litelvlm.models.base import Conversation, TowerModel
from litelvlm.models.glamm.masks import decoder as sam_side
from litelvlm.models.glamm.options import GlammOptions
from litelvlm.models.glamm.outputs import ImageState, Spliced, Stopwatch, TurnOutputs
from litelvlm.models.glamm.preprocess import sam_pixel_values
from litelvlm.models.glamm.prompting.prompts import full_prompt
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX, GlammTokenizer
from litelvlm.pruning import Selection

Network = TypeVar("Network", bound="GlammNetwork")


class GlammNetwork(nn.Module, TowerModel):
    """CLIP tower -> selection -> projector -> LLaMA -> state before [SEG] -> SAM mask decoder.

    Args:
        tower: CLIP's two towers.
        llama: The language model.
        projector: Visual width to LLM width, row-wise.
        seg_head: LLM width to SAM prompt width.
        sam: Image encoder and mask decoder.
        tokenizer: The language side's tokenizer with its seven added tokens.
        name: What the model was asked for by.
        digest: sha256 over weights, configuration and tokenizers, CLIP's included; "random" when
            the weights are.

    Attributes:
        options: Open choices inside the model; ``with_options`` changes them.

    Source: GLaMM and LiteLVLM official code, referring-segmentation evaluation (answers
        teacher-forced).
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
        digest: str,
    ) -> None:
        super().__init__()
        self.tower, self.llama, self.projector, self.seg_head, self.sam = (
            tower,
            llama,
            projector,
            seg_head,
            sam,
        )
        self.tokenizer, self.name, self.digest = tokenizer, name, digest
        self.options, self._plain_name = GlammOptions(), name

    def with_options(self: Network, **changes: Any) -> Network:
        """The same weights, read or fed otherwise; this model stays as it is.

        Args:
            **changes: Fields of ``GlammOptions``, but for those that are settled when weights are
                loaded.

        Raises:
            ValueError: If a field or a value is unknown, or it is ``sam_dtype`` or
                ``mask_decoder_eps``.

        Example:
            >>> from litelvlm import load_model
            >>> load_model("embedded").with_options(read="seg").name
            'embedded[read=seg]'
        """
        GlammOptions.check(changes)
        options = replace(self.options, **changes)
        if (options.sam_dtype, options.mask_decoder_eps) != (
            self.options.sam_dtype,
            self.options.mask_decoder_eps,
        ):
            raise ValueError(
                "sam_dtype and mask_decoder_eps are settled at loading; use load_model(..., options=)"
            )
        return self._with_options(options)

    def _with_options(self: Network, options: GlammOptions) -> Network:
        other, tower = copy(self), copy(self.tower)
        # The table of parts is the copy's own; the parts are shared.
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
    def sam_image_size(self) -> int:
        """Side of SAM's padded square in pixels."""
        config: Any = self.sam.config.vision_config
        return int(config.image_size)

    @property
    def read_offset(self) -> int:
        """Distance of the state a mask is read from to the one that predicts [SEG]."""
        return int(self.options.read == "seg")

    @torch.inference_mode()
    def encode_image(self, image: Image.Image | str | Path | bytes) -> ImageState:
        """Run CLIP and SAM on one image.

        Raises:
            FileNotFoundError: If a path does not exist.
            ValueError: If the image cannot be read.
        """
        picture = open_image(image)
        watch = Stopwatch(self.device)
        with watch("preprocess"):
            square, resized_size = sam_pixel_values(picture, self.sam_image_size)
            crop = self.tower.pixel_values(picture)
            square = square.to(self.device, sam_side.sam_dtype(self.sam))
        with watch("clip_image"):
            clip = self.tower.image(crop)
        with watch("sam_encoder"):
            embeddings = sam_side.encode_image(self.sam, square)
        return ImageState(
            clip, embeddings, (picture.height, picture.width), resized_size, watch.seconds
        )

    def project(self, patch_tokens: Float[Tensor, "*b d"]) -> Float[Tensor, "*b e"]:
        """Carry visual states into the language model's input space."""
        projected: Tensor = self.projector(patch_tokens.to(self.dtype))
        return projected

    def splice(
        self,
        visual: Sequence[Float[Tensor, "_ e"]],
        conversations: Sequence[Conversation],
        selections: Sequence[Selection | None],
    ) -> Spliced:
        """Put each row's projected visual tokens in place of its image placeholder.

        A [SEG] at index s of the token ids (placeholder counted once) is predicted by the state at
        s + R - 2 of the spliced sequence of R visual tokens.
        """
        embeds, positions, lengths, starts, segs = [], [], [], [], []
        for tokens, talk, selection in zip(visual, conversations, selections, strict=True):
            ids = self.tokenizer.encode(full_prompt(talk))
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
            segs.append(
                tuple(
                    i + n_kept - 2 for i, token in enumerate(ids) if token == self.tokenizer.seg_id
                )
            )
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
        if (
            selection is not None
            and selection.tokens is not None
            and selection.stage == "post_projector"
        ):
            return selection.tokens.to(self.dtype)
        if selection is not None:
            tokens = (
                tokens[selection.indices.to(tokens.device)]
                if selection.tokens is None
                else selection.tokens
            )
        return self.project(tokens)

    def decode_masks(
        self, states: Sequence[ImageState], said: Sequence[TurnOutputs]
    ) -> list[tuple[Tensor, Tensor]]:
        """Mask logits and seg embeddings of each row; the logits are minus infinity where no [SEG] was said."""
        embeddings = [self.seg_head(row.seg_states) for row in said]
        prompts = pad_sequence(embeddings, batch_first=True)[:, :, None].to(
            sam_side.sam_dtype(self.sam)
        )
        images = torch.cat([state.sam_embeddings for state in states])
        low = sam_side.low_resolution_masks(self.sam, images, prompts)
        out = []
        for masks, seg, state, row in zip(low, embeddings, states, said, strict=True):
            logits = sam_side.upscale(
                masks[: len(seg)], state.resized_size, state.original_size, self.sam_image_size
            )
            logits[[turn for turn, found in enumerate(row.found) if not found]] = float("-inf")
            out.append((logits, seg))
        return out
