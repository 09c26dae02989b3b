"""What SAM2 remembers of earlier frames of a clip, one memory per prompt."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import get_1d_sine_pe

from litelvlm.models.sam2.decoding import FrameMasks, resized
from litelvlm.models.sam2.frames import FrameFeatures

NUMBERS = ("exact", "bfloat16")
"""How memories are kept: in the model's number type, or rounded."""


@dataclass(frozen=True)
class Remembered:
    """One frame in memory.

    Attributes:
        features: The frame with its mask.
        positions: Their sine positions.
        pointers: Summary of the object.
    """

    features: Float[Tensor, "hw t m"]
    positions: Float[Tensor, "hw 1 m"]
    pointers: Float[Tensor, "t c"]


class Memory:
    """Frames that SAM2 remembers: the first, the masks of the last six, pointers of the last 15.

    Memory does not grow with the clip.

    Args:
        sam: The model.
        n_frames: Of the clip.
        numbers: One of ``NUMBERS``.
        binarised: Whether the mask of the first frame enters as 0 or 1, as after a click; the
            masks of all other frames enter as probabilities.
    """

    def __init__(
        self, sam: Sam2VideoModel, n_frames: int, numbers: str = "exact", binarised: bool = False
    ) -> None:
        self.sam, self.numbers, self.binarised = sam, numbers, binarised
        self.n_pointers = min(n_frames, sam.config.max_object_pointers_in_encoder)
        self.frames: dict[int, Remembered] = {}

    def conditioned(
        self, frame: int, features: FrameFeatures, count: int
    ) -> Float[Tensor, "{count} c h w"]:
        """Image tokens of a frame in the light of what came before.

        Args:
            frame: Its number; the first is 0.
            features: Of the frame.
            count: Prompts.
        """
        sam, grid = self.sam, tuple(self.sam.backbone_feature_sizes[-1])
        tokens = features.tokens.expand(-1, count, -1)
        if frame == 0:
            plain = (tokens + sam.no_memory_embedding).permute(1, 2, 0)
            first: Tensor = plain.unflatten(-1, grid)
            return first
        memory, positions, n_pointers = self._read(frame, count)
        out = sam.memory_attention(
            current_vision_features=tokens,
            current_vision_position_embeddings=features.positions,
            memory=memory,
            memory_posision_embeddings=positions,  # as the library spells it
            num_object_pointer_tokens=n_pointers,
        )
        # [1, prompts, tokens, channels]: the library's output for one prompt, and for several.
        found: Tensor = out.reshape(count, -1, out.shape[-1]).transpose(1, 2).unflatten(-1, grid)
        return found

    def remember(self, frame: int, features: FrameFeatures, masks: FrameMasks) -> Remembered:
        """Keep a frame and what was found in it."""
        sam, config = self.sam, self.sam.config
        count, grid = len(masks.low_res), tuple(sam.backbone_feature_sizes[-1])
        side = 4 * masks.low_res.shape[-1]
        logits = resized(masks.low_res, (side, side)).to(masks.low_res.dtype)
        hard = self.binarised and frame == 0
        shares = (logits > 0).to(logits.dtype) if hard else logits.sigmoid()
        shares = shares * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        image = features.tokens.permute(1, 2, 0).unflatten(-1, grid).expand(count, -1, -1, -1)
        found, positions = sam.memory_encoder(image, shares[:, None])
        absent = sam.occlusion_spatial_embedding_parameter
        if absent is not None:
            gone = (masks.object_scores <= 0).to(found.dtype)
            found = found + gone[:, None, None, None] * absent[..., None, None]
        if self.numbers == "bfloat16":
            found = found.to(torch.bfloat16).to(masks.low_res.dtype)
        self.frames[frame] = Remembered(
            found.flatten(2).permute(2, 0, 1),
            positions[:1].flatten(2).permute(2, 0, 1).to(found.dtype),
            masks.pointers,
        )
        for old in [n for n in self.frames if 0 < n <= frame + 1 - self.n_pointers]:
            del self.frames[old]
        return self.frames[frame]

    def _read(
        self, frame: int, count: int
    ) -> tuple[Float[Tensor, "k t m"], Float[Tensor, "k t m"], int]:
        """Memories for a frame, their positions, and how many of them are pieces of pointers."""
        sam = self.sam
        times = sam.memory_temporal_positional_encoding
        # The first frame has the last encoding, wherever it lies.
        nearest = range(sam.num_maskmem - 1, 0, -1)
        seen = [(0, -1), *((frame - n, n - 1) for n in nearest if frame - n > 0)]
        memory = [self.frames[n].features for n, _ in seen]
        positions = [
            (self.frames[n].positions + times[place]).expand(-1, count, -1) for n, place in seen
        ]
        earlier = [0, *(n for n in range(frame - 1, 0, -1) if frame - n < self.n_pointers)]
        pointers = torch.stack([self.frames[n].pointers for n in earlier])
        pieces = pointers.shape[-1] // sam.mem_dim
        memory.append(pointers.unflatten(-1, (pieces, -1)).transpose(1, 2).flatten(0, 1))
        when = self._pointer_times([frame - n for n in earlier], pointers)
        positions.append(when.repeat_interleave(pieces, 0).expand(-1, count, -1))
        return torch.cat(memory), torch.cat(positions), pieces * len(earlier)

    def _pointer_times(
        self, offsets: list[int], pointers: Float[Tensor, "k t c"]
    ) -> Float[Tensor, "k 1 m"]:
        """Encoding of how long ago each pointer was made; zero where the model has none."""
        sam = self.sam
        if not sam.config.enable_temporal_pos_encoding_for_object_pointers:
            return pointers.new_zeros(len(offsets), 1, sam.mem_dim)
        ages = torch.tensor(offsets, device=pointers.device, dtype=torch.float32)
        sines = get_1d_sine_pe(ages / (self.n_pointers - 1), dim=pointers.shape[-1])
        layer = sam.temporal_positional_encoding_projection_layer
        found: Tensor = layer(sines.to(pointers.dtype))
        return found[:, None]
