"""VideoGLaMM's parts and steps: encode a clip, project and pool its tokens, splice them."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import Phi3ForCausalLM, Sam2VideoModel

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.states import ClipImage
from litelvlm.data.images import ImageSource
from litelvlm.finite import require_finite
from litelvlm.layout import Layout
from litelvlm.models.requests import Conversation, Masker
from litelvlm.models.sam2.frames import Sam2Frames
from litelvlm.models.sam2.masker import ClipMasker, FramewiseMasker
from litelvlm.models.sam2.preprocess import longest_side_stretched
from litelvlm.models.segmenting import Stopwatch
from litelvlm.models.studied import TowerModel
from litelvlm.models.video_glamm.config import VideoGlammConfig
from litelvlm.models.video_glamm.internvideo import InternVideo
from litelvlm.models.video_glamm.language import with_window
from litelvlm.models.video_glamm.options import VideoGlammOptions
from litelvlm.models.video_glamm.outputs import ClipState, Spliced, VisualBlock
from litelvlm.models.video_glamm.points import POINTS, ClipGrids, PrunePoint
from litelvlm.models.video_glamm.preprocess import internvideo_pixel_values, language_frames
from litelvlm.models.video_glamm.prompts import full_prompt
from litelvlm.models.video_glamm.tokenizer import IMAGE_INDEX, Phi3Tokenizer
from litelvlm.models.view import ImageView, tower_view

Network = TypeVar("Network", bound="VideoGlammNetwork")


def pool_squares(tokens: Float[Tensor, "f n d"], side: int) -> Float[Tensor, "f m d"]:
    """Average the tokens of each frame over a square of ``side`` x ``side`` cells.

    Any square number of tokens may enter: fewer than the cells are repeated.

    Raises:
        ValueError: If the tokens of a frame make no square.

    Source: official code (``apply_adaptive_avg_pooling``).
    """
    n_frames, count, _ = tokens.shape
    length = round(count**0.5)
    if length * length != count:
        raise ValueError(
            f"{count} tokens of a frame make no square to pool; keep a square number of them"
        )
    planes = tokens.transpose(1, 2).reshape(n_frames, -1, length, length)
    return F.adaptive_avg_pool2d(planes, (side, side)).flatten(2).transpose(1, 2)


class VideoGlammNetwork(nn.Module, TowerModel):
    """CLIP and InternVideo2 -> projectors -> pooling -> Phi-3 -> state before [SEG] -> SAM2.

    Args:
        tower: CLIP's two towers.
        video_tower: InternVideo2's vision encoder.
        phi3: The language model.
        image_projector: CLIP's width to the language model's, row by row.
        video_projector: The video tower's width to it.
        seg_head: The language model's width to that of SAM2's prompts.
        sam2: Image encoder, mask decoder and memory.
        tokenizer: Phi-3's tokenizer with the added tokens.
        config: What the checkpoint says of itself.
        name: The name it was loaded by.
        digest: sha256 over weights, configuration and tokenizers, CLIP's included; "random" for
            random weights.
        options: Open choices inside the model; ``with_options`` changes them.

    Source: VideoGLaMM, official code.
    """

    tower: ClipTower

    def __init__(
        self,
        *,
        tower: ClipTower,
        video_tower: InternVideo,
        phi3: Phi3ForCausalLM,
        image_projector: nn.Module,
        video_projector: nn.Module,
        seg_head: nn.Module,
        sam2: Sam2VideoModel,
        tokenizer: Phi3Tokenizer,
        config: VideoGlammConfig,
        name: str,
        digest: str,
        options: VideoGlammOptions,
    ) -> None:
        super().__init__()
        self.tower, self.video_tower, self.phi3, self.sam2 = tower, video_tower, phi3, sam2
        self.image_projector, self.video_projector = image_projector, video_projector
        self.seg_head, self.tokenizer, self.digest = seg_head, tokenizer, digest
        self.config, self.options, self._plain_name = config, config.own(options), name
        self.name = f"{name}{self.options}"

    def with_options(self: Network, **changes: object) -> Network:
        """A model of the same weights with other options; this model does not change.

        Args:
            **changes: Fields of ``VideoGlammOptions``.

        Raises:
            ValueError: If a field or a value is unknown.
        """
        options, other = self.config.own(self.options.replaced(changes)), copy(self)
        if options.window != self.options.window:
            # The copy has its own table of parts; the parts are shared.
            other._modules = dict(self._modules)
            other.phi3 = with_window(self.phi3, self.config.seen(options.window))
        other.options, other.name = options, f"{self._plain_name}{options}"
        return other

    @property
    def num_frames(self) -> int:
        """Frames that the language model sees of a clip."""
        return self.options.num_frames or self.config.num_frames

    def window_bites(self, n_tokens: int) -> bool:
        """Whether the window of attention hides anything from a sequence.

        Args:
            n_tokens: Length of the whole sequence: text, visual tokens and answer.
        """
        seen = self.config.seen(self.options.window)
        return seen is not None and n_tokens > seen

    @property
    def device(self) -> torch.device:
        """Where the language model lives."""
        return self.phi3.device

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the language model."""
        return self.phi3.dtype

    @property
    def attention_kernels(self) -> Mapping[str, str]:
        """Attention kernels of the towers and of the language model."""
        kernel = str(self.phi3.config._attn_implementation)
        return {**super().attention_kernels, "phi3": kernel}

    @property
    def point(self) -> PrunePoint:
        """Where visual tokens of clips are pruned."""
        return POINTS[self.options.prune_point]

    @property
    def grids(self) -> ClipGrids:
        """Sides of the token grids of clips."""
        return ClipGrids(
            frames=self.num_frames,
            image=self.tower.grid[0],
            video=self.video_tower.sizes.grid,
        )

    @property
    def clip_layout(self) -> Layout:
        """How the tokens of every clip lie that a method chooses from."""
        side = self.grids.side(self.point)
        return Layout(self.num_frames, side, side)

    @property
    def masker(self) -> Masker:
        """Decoder of all masks."""
        if self.options.masks == "framewise":
            return FramewiseMasker(self.sam2)
        return ClipMasker(self.sam2, numbers="bfloat16", binarised=True)

    def clip_view(self, height: int, width: int, frames: int) -> ImageView:
        """Where the tokens lie that a method chooses from; an image has one frame."""
        whole = tower_view(self.tower, height, width)
        if frames == 1:
            return whole
        seen = tuple((i,) for i in language_frames(frames, self.num_frames))
        return ImageView(self.clip_layout, whole.crop, whole.image_size, seen)

    def project_image(self, patch_tokens: Float[Tensor, "*b d"]) -> Float[Tensor, "*b e"]:
        """Project CLIP's patch states into the language model's input space."""
        projected: Tensor = self.image_projector(patch_tokens.to(self.dtype))
        return projected

    def project_video(self, patch_tokens: Float[Tensor, "*b d"]) -> Float[Tensor, "*b e"]:
        """Project the video tower's patch states into the language model's input space."""
        projected: Tensor = self.video_projector(patch_tokens.to(self.dtype))
        return projected

    def video_states(self, pixel_values: Float[Tensor, "f 3 s s"]) -> Float[Tensor, "c n d"]:
        """States of the video tower for all frames, chunk by chunk, the class token first.

        Raises:
            ValueError: If one is NaN or infinite.
        """
        size = self.video_tower.sizes.frames
        chunks = pixel_values.to(self.device, self.dtype).unflatten(0, (-1, size))
        states = torch.cat([self.video_tower(chunk[None]) for chunk in chunks])
        return require_finite(states, "InternVideo2's state of the clip")

    def pooled_video(self, states: Float[Tensor, "c s d"]) -> Float[Tensor, "f m e"]:
        """Projected and pooled tokens of every frame, the class tokens dropped."""
        projected = self.project_video(states[:, 1:])
        frames = projected.unflatten(1, (self.video_tower.sizes.frames, -1)).flatten(0, 1)
        return pool_squares(frames, self.grids.video_pooled)

    def splice(
        self, block: VisualBlock, conversation: Conversation, n_frames: int, room: int = 0
    ) -> Spliced:
        """Replace the placeholders of a conversation, one for each frame, by its visual tokens.

        Args:
            block: The visual tokens.
            conversation: The text.
            n_frames: That the language model sees.
            room: Tokens of an answer that follow.

        Raises:
            ValueError: If the language model cannot read so many tokens.
        """
        ids = self.tokenizer.encode(full_prompt(conversation, n_frames, self.config.marked))
        start = ids.index(IMAGE_INDEX)
        text = torch.tensor(ids[:start] + ids[start + n_frames :], device=self.device)
        needed, limit = len(text) + room, int(self.phi3.config.max_position_embeddings)
        if block.span + needed > limit:
            raise ValueError(
                f"{block.span} positions of visual tokens and {needed} of text are more than the "
                f"{limit} of the language model; keep fewer tokens, or ask about fewer expressions "
                "at once"
            )
        embedded = self.phi3.model.embed_tokens(text)
        places = torch.arange(len(text), device=self.device)
        return Spliced(
            embeds=torch.cat([embedded[:start], block.tokens, embedded[start:]]),
            positions=torch.cat(
                [places[:start], start + block.offsets, block.span + places[start:]]
            ),
            ids=tuple(ids),
            shift=len(block.tokens) - n_frames,
        )

    def encode(self, frames: Sequence[ImageSource]) -> ClipState:
        """Run CLIP and the video tower on a clip, or CLIP alone on an image; SAM2 runs later.

        A frame that the language model sees twice is read once.

        Raises:
            FileNotFoundError: If the path of a frame does not exist.
            ValueError: If there is no frame, one cannot be read or differs in size, or a state is
                NaN or infinite.
        """
        watch = Stopwatch(self.device)
        with watch("preprocess"):
            sam_frames = Sam2Frames(self.sam2, frames, longest_side_stretched)
            shown = language_frames(len(frames), self.num_frames)
            distinct = sorted(set(shown)) if len(frames) > 1 else [0]
            pictures = [sam_frames.image(i) for i in distinct]
            crops = torch.cat([self.tower.pixel_values(picture) for picture in pictures])
        read = tuple(distinct.index(i) for i in shown) if len(frames) > 1 else (0,)
        with watch("clip_image"):
            clip = self.tower.image(crops)
        with watch("projector"):
            tokens = self.offered_tokens(clip, read)
        video = tokens.new_zeros(0, int(self.phi3.config.hidden_size), dtype=self.dtype)
        if len(frames) > 1:
            with watch("video_tower"):
                side = self.video_tower.sizes.image_size
                squares = [internvideo_pixel_values(picture, side) for picture in pictures]
                states = self.video_states(torch.stack([squares[i] for i in read]))
                video = self.pooled_video(states).flatten(0, 1)
        view = self.clip_view(*sam_frames.size, len(frames))
        return ClipState(clip, read, view, tokens, video, sam_frames, watch.seconds)

    def offered_tokens(self, clip: ClipImage, read: tuple[int, ...]) -> Float[Tensor, "n d"]:
        """The tokens that a method chooses from: CLIP's, or pooled and projected ones."""
        patches = clip.patch_tokens
        if len(read) > 1 and self.point.pooled:
            patches = pool_squares(self.project_image(patches), self.grids.pooled)
        return patches[list(read)].flatten(0, 1)
