"""GLaMM in stages: image and text states are computed once, selections and conversations reuse them."""

from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaForCausalLM, SamModel

from litelvlm.clip.tower import ClipImage, ClipTower
from litelvlm.glamm import llama as llama_loop
from litelvlm.glamm import mask as sam_side
from litelvlm.glamm.layer_pruning import LayerDropping
from litelvlm.glamm.preprocess import clip_pixel_values, open_image, sam_pixel_values
from litelvlm.glamm.prompts import Conversation, conversation
from litelvlm.glamm.tokenizer import IMAGE_INDEX, GlammTokenizer
from litelvlm.names import check_name
from litelvlm.pruning import Cues, LayerPruner, Pruner, Selection, check_budget


@dataclass(frozen=True)
class ImageState:
    """Everything about one image that no method and no sentence changes.

    Attributes:
        clip: CLIP states, batch of one.
        sam_embeddings: SAM image embedding [1, C, h, w].
        original_size: (height, width) in pixels.
        resized_size: (height, width) inside SAM's padded square.
        timings: Seconds per stage.
    """

    clip: ClipImage
    sam_embeddings: Float[Tensor, "1 c h w"]
    original_size: tuple[int, int]
    resized_size: tuple[int, int]
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Grounding:
    """Masks for the expressions of one call.

    Attributes:
        logits: Mask logits at the image's size, float32.
        seg_state: LLM state that each mask was decoded from (after the final norm, before the seg head).
        seg_embeddings: Output of the seg head, SAM's only prompt.
        selections: What was kept, one per LLM pass (None: unpruned; a ``LayerTrace`` tells it layer by layer where
            tokens were dropped inside the language model).
        timings: Seconds per stage, summed over the passes.
    """

    logits: Float[Tensor, "t height width"]
    seg_state: Float[Tensor, "t d"]
    seg_embeddings: Float[Tensor, "t c"]
    selections: tuple[Selection | None, ...]
    timings: dict[str, float]

    @property
    def mask(self) -> Bool[Tensor, "t height width"]:
        """Foreground: logit strictly above 0."""
        return self.logits > 0

    @property
    def selection(self) -> Selection | None:
        """The selection of the first pass."""
        return self.selections[0]


@dataclass(frozen=True)
class Spliced:
    """Input embeddings of a batch of conversations, padded on the right.

    Attributes:
        embeds: [B, S, d].
        position_ids: Rotary positions [B, S].
        lengths: Real tokens of each row.
        image_start: Index of the first visual token of each row.
        seg_index: For each row, the indices whose state predicts a [SEG].
    """

    embeds: Float[Tensor, "b s d"]
    position_ids: Int[Tensor, "b s"]
    lengths: tuple[int, ...]
    image_start: tuple[int, ...]
    seg_index: tuple[tuple[int, ...], ...]


class Glamm(nn.Module):
    """Grounding LMM: CLIP tower -> selection -> projector -> LLaMA -> state before [SEG] -> SAM mask decoder.

    Args:
        tower: CLIP's two towers.
        llama: The language model.
        projector: Visual width to LLM width, row-wise.
        seg_head: LLM width to SAM prompt width.
        sam: Image encoder and mask decoder.
        tokenizer: The language side's tokenizer with its seven added tokens.
        name: What the model was asked for by.
        digest: sha256 over the weights, "random" when they are.

    Source: GLaMM and LiteLVLM official code, referring-segmentation evaluation (answers teacher-forced).
    """

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
        self.tower, self.llama, self.projector, self.seg_head, self.sam = tower, llama, projector, seg_head, sam
        self.tokenizer, self.name, self.digest = tokenizer, name, digest

    @property
    def grid(self) -> tuple[int, int]:
        """Visual token grid (rows, columns)."""
        return self.tower.grid

    @property
    def n_tokens(self) -> int:
        """Visual tokens before pruning."""
        return self.grid[0] * self.grid[1]

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
            crop = clip_pixel_values(picture, self.tower.image_size).to(self.device, self.tower.clip.dtype)
            square, resized_size = sam_pixel_values(picture, self.sam_image_size)
            square = square.to(self.device, sam_side.sam_dtype(self.sam))
        with watch("clip_image"):
            clip = self.tower.image(crop)
        with watch("sam_encoder"):
            embeddings = sam_side.encode_image(self.sam, square)
        return ImageState(clip, embeddings, (picture.height, picture.width), resized_size, watch.seconds)

    def cues(self, state: ImageState, questions: Sequence[str], coverage: Tensor | None = None, key: int = 0) -> Cues:
        """Everything a method may ask about one image and its questions, computed when asked.

        Args:
            state: The encoded image.
            questions: Full question sentences, as the official code feeds CLIP.
            coverage: Ground-truth coverage per token [N] in [0, 1], for oracles only.
            key: Identity of the image, so that random methods draw the same tokens for it everywhere.
        """
        clip = state.clip
        sources = {
            "patch_tokens": lambda: clip.patch_tokens[0],
            "cls_token": lambda: clip.cls_token[0],
            "patch_embeds": lambda: clip.patch_embeds[0],
            "text_embeds": lambda: self.tower.text(questions).text_embeds,
            "query": lambda: clip.query[0],
            "keys": lambda: clip.keys[0],
            "values": lambda: clip.values[0],
            "cls_key": lambda: clip.cls_key[0],
            "cls_attention": lambda: clip.cls_attention[0],
            "keys_mean": lambda: clip.keys_mean[0],
            "projected": lambda: self.project(clip.patch_tokens[0]),
        }
        if coverage is not None:
            sources["coverage"] = lambda: coverage.flatten().to(self.device)
        return Cues(sources, grid=self.grid, key=key)

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

        A [SEG] at index s of the token ids (placeholder counted once) is predicted by the state at s + R - 2 of the
        spliced sequence of R visual tokens.
        """
        embeds, positions, lengths, starts, segs = [], [], [], [], []
        for tokens, talk, selection in zip(visual, conversations, selections, strict=True):
            ids = self.tokenizer.encode(talk.prompt)
            start, n_kept = ids.index(IMAGE_INDEX), len(tokens)
            before, after = ids[:start], ids[start + 1 :]
            text = self.llama.model.embed_tokens(torch.tensor(before + after, device=self.device))
            embeds.append(torch.cat([text[:start], tokens, text[start:]]))
            offsets = torch.arange(n_kept) if selection is None else selection.positions.cpu()
            span = n_kept if selection is None else selection.span
            positions.append(torch.cat([torch.arange(start), start + offsets, start + span + torch.arange(len(after))]))
            lengths.append(len(embeds[-1]))
            starts.append(start)
            segs.append(tuple(i + n_kept - 2 for i, token in enumerate(ids) if token == self.tokenizer.seg_id))
        return Spliced(
            pad_sequence(embeds, batch_first=True),
            pad_sequence(positions, batch_first=True).to(self.device),
            tuple(lengths),
            tuple(starts),
            tuple(segs),
        )

    @torch.inference_mode()
    def ground(
        self,
        states: Sequence[ImageState],
        conversations: Sequence[Conversation],
        selections: Sequence[Selection | None],
    ) -> list[Grounding]:
        """Decode masks for a batch of (image, conversation, selection) entries.

        Rows of unequal length are padded on the right, which changes no result. A ``LayerPlan`` among the selections
        drops tokens inside the language model. Timings are the batch's, shared evenly among its rows.

        Raises:
            ValueError: If the three sequences differ in length or are empty, or a plan's budget is impossible.
        """
        if not states or not len(states) == len(conversations) == len(selections):
            raise ValueError(
                f"one state, conversation and selection per row are needed, got {len(states)}, "
                f"{len(conversations)} and {len(selections)}"
            )
        watch = Stopwatch(self.device)
        with watch("projector"):
            visual = [self.visual_tokens(s, sel) for s, sel in zip(states, selections, strict=True)]
        with watch("llm"):
            spliced = self.splice(visual, conversations, selections)
            dropping = LayerDropping(
                self.llama, self.tokenizer, conversations, selections, spliced.image_start, spliced.lengths
            )
            hidden_states = llama_loop.decode(self.llama, spliced.embeds, spliced.position_ids, before_layer=dropping)
        with watch("mask_decoder"):
            seg_states = [hidden_states[row, index] for row, index in enumerate(dropping.shifted(spliced.seg_index))]
            seg_embeddings = [self.seg_head(s) for s in seg_states]
            prompts = pad_sequence(seg_embeddings, batch_first=True)[:, :, None].to(sam_side.sam_dtype(self.sam))
            low = sam_side.low_resolution_masks(self.sam, torch.cat([s.sam_embeddings for s in states]), prompts)
            logits = [
                sam_side.upscale(masks[: len(seg)], s.resized_size, s.original_size, self.sam_image_size)
                for masks, seg, s in zip(low, seg_states, states, strict=True)
            ]
        share = {stage: seconds / len(states) for stage, seconds in watch.seconds.items()}
        return [
            Grounding(logits[i], seg_states[i], seg_embeddings[i], (selection,), dict(share))
            for i, selection in enumerate(dropping.outcomes())
        ]

    def visual_tokens(self, state: ImageState, selection: Selection | None) -> Float[Tensor, "r e"]:
        """Projected visual tokens of one image after a selection (all of them without one)."""
        tokens = state.clip.patch_tokens[0]
        if selection is not None and selection.tokens is not None and selection.stage == "post_projector":
            return selection.tokens.to(self.dtype)
        if selection is not None:
            tokens = tokens[selection.indices.to(tokens.device)] if selection.tokens is None else selection.tokens
        return self.project(tokens)

    @torch.inference_mode()
    def segment(
        self,
        image: Image.Image | str | Path | bytes,
        text: str | Sequence[str],
        pruner: Pruner | None = None,
        budget: int | None = None,
        protocol: str = "single",
    ) -> Grounding:
        """Segment what one or several expressions refer to in one image.

        Args:
            image: Picture, path or encoded bytes.
            text: One expression or several.
            pruner: Method that chooses visual tokens; None keeps all.
            budget: Tokens to keep, 1 to ``n_tokens``; required with a pruner.
            protocol: "single": every expression in a pass and with a selection of its own. "conversation": all in
                one multi-turn pass with one shared selection, as the official evaluation does.

        Returns:
            Masks [T, H, W] in the order of the expressions.

        Raises:
            ValueError: If the expression is empty, the budget is missing or out of range, or the protocol unknown.

        Example:
            >>> from litelvlm import load_model, load_refer, get_pruner
            >>> model, sample = load_model("embedded"), load_refer("embedded", split="val")[0]
            >>> result = model.segment(sample.image(), "the red circle", get_pruner("litelvlm"), budget=48)
            >>> len(result.selection.indices)
            48
        """
        check_name(protocol, ("single", "conversation"), "protocol")
        if pruner is not None:
            if budget is None:
                raise ValueError(f"pruner {pruner.name!r} needs a budget: an integer from 1 to {self.n_tokens}")
            check_budget(budget, self.n_tokens)
            if isinstance(pruner, LayerPruner):
                pruner.schedule(budget, self.n_tokens, len(self.llama.model.layers))
        elif budget is not None and budget != self.n_tokens:
            raise ValueError(
                f"budget {budget} was given without a pruner; name one, for example get_pruner('litelvlm')"
            )
        expressions = [text] if isinstance(text, str) else list(text)
        talks = [conversation(expressions)] if protocol == "conversation" else [conversation([e]) for e in expressions]
        state = self.encode_image(image)
        watch = Stopwatch(self.device)
        with watch("selection"):
            selections = [
                None if pruner is None or budget is None else pruner.select(self.cues(state, talk.questions), budget)
                for talk in talks
            ]
        passes = [self.ground([state], [t], [s])[0] for t, s in zip(talks, selections, strict=True)]
        return Grounding(
            torch.cat([p.logits for p in passes]),
            torch.cat([p.seg_state for p in passes]),
            torch.cat([p.seg_embeddings for p in passes]),
            tuple(p.selection for p in passes),
            add_timings([state.timings, watch.seconds, *(p.timings for p in passes)]),
        )


class Stopwatch:
    """Seconds per named stage, the device synchronised at both ends."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str):  # type: ignore[no-untyped-def]
        """Add the time spent in the block to ``stage``."""
        self.synchronise()
        start = perf_counter()
        yield
        self.synchronise()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + perf_counter() - start

    def synchronise(self) -> None:
        """Wait for the device to finish what was asked of it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def add_timings(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    """Sum several stage tables."""
    total: dict[str, float] = {}
    for part in parts:
        for stage, seconds in part.items():
            total[stage] = total.get(stage, 0.0) + seconds
    return total
