"""GLaMM in stages: image and text states are computed once, selections and conversations reuse them."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaForCausalLM, SamModel

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.readouts import ranked_patches
from litelvlm.clip.vit_view import ClipVitView
from litelvlm.data.images import open_image
from litelvlm.models.glamm.language.decoding import TurnOutputs, read_forced, say
from litelvlm.models.glamm.masks import decoder as sam_side
from litelvlm.models.glamm.options import Answer, GlammOptions
from litelvlm.models.glamm.outputs import Grounding, ImageState, Spliced, Stopwatch, add_timings
from litelvlm.models.glamm.preprocess import sam_pixel_values
from litelvlm.models.glamm.prompting.prompts import Conversation, conversation
from litelvlm.models.glamm.prompting.ranking_text import ranking_text
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX, GlammTokenizer
from litelvlm.names import check_name
from litelvlm.pruning import Cues, LayerPruner, Pruner, Selection, check_budget
from litelvlm.pruning.methods.box_oracle import box_cells

__all__ = ["Glamm", "Grounding", "ImageState", "Spliced", "Stopwatch", "add_timings"]
PROTOCOLS = ("single", "conversation")
MAX_NEW_TOKENS = 64
"""Longest generated answer; the trained ones have about ten tokens."""


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
        digest: sha256 over weights, configuration and tokenizers, CLIP's included; "random" when
            the weights are.

    Attributes:
        options: Open choices inside the model; ``with_options`` changes them.

    Source: GLaMM and LiteLVLM official code, referring-segmentation evaluation (answers
        teacher-forced).
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
        self.tower, self.llama, self.projector, self.seg_head, self.sam = (
            tower,
            llama,
            projector,
            seg_head,
            sam,
        )
        self.tokenizer, self.name, self.digest = tokenizer, name, digest
        self.options, self._plain_name = GlammOptions(), name

    def with_options(self, **changes: Any) -> "Glamm":
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

    def _with_options(self, options: GlammOptions) -> "Glamm":
        other, tower = copy(self), copy(self.tower)
        # The table of parts is the copy's own; the parts are shared.
        other._modules = dict(self._modules)
        tower.preprocessing = replace(tower.preprocessing, resize=options.crop)
        other.tower, other.options, other.name = tower, options, f"{self._plain_name}{options}"
        other.tokenizer = self.tokenizer.with_style(options.tokenisation)
        return other

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

    def cues(
        self,
        state: ImageState,
        questions: Sequence[str],
        coverage: Tensor | None = None,
        key: int = 0,
        conversation: Conversation | None = None,
    ) -> Cues:
        """Everything a method may ask about one image and its questions, computed when asked.

        Args:
            state: The encoded image.
            questions: Full question sentences, as the official code feeds CLIP.
            coverage: Ground-truth coverage per token [N] in [0, 1], for oracles only.
            key: Identity of the image, so that random methods draw the same tokens for it
                everywhere.
            conversation: What the language model is to read, for oracles that ask it first and
                where ``options.clip_text`` is not "question".
        """
        # Signals are read off a whole model, so their module is made after this one.
        from litelvlm.models.glamm.attribution.cues import coordinate_cues, signal_cues

        clip, options = state.clip, self.options
        sources = {
            "patch_tokens": lambda: clip.patch_tokens[0],
            "cls_token": lambda: clip.cls_token[0],
            "patch_embeds": lambda: ranked_patches(clip, options.patch_layer, options.patch_norm)[
                0
            ],
            "text_embeds": lambda: ranking_text(self.tower, options, questions, conversation),
            "query": lambda: clip.query[0],
            "keys": lambda: clip.keys[0],
            "values": lambda: clip.values[0],
            "cls_key": lambda: clip.cls_key[0],
            "cls_attention": lambda: clip.cls_attention[0],
            "keys_mean": lambda: clip.keys_mean[0],
            "late_states": lambda: clip.late_states[0],
            "colours": lambda: clip.colours[0],
            "projected": lambda: self.project(clip.patch_tokens[0]),
            **coordinate_cues(self),
        }
        if conversation is not None:
            sources |= signal_cues(self, state, conversation)
        if coverage is not None:
            covered = coverage.flatten().to(self.device)
            sources["coverage"] = lambda: covered
            sources["box"] = lambda: box_cells(covered.float(), self.grid)
        return Cues(sources, grid=self.grid, key=key, vit=lambda: ClipVitView(clip))

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
            ids = self.tokenizer.encode(talk.prompt)
            start, n_kept = ids.index(IMAGE_INDEX), len(tokens)
            before, after = ids[:start], ids[start + 1 :]
            text = self.llama.model.embed_tokens(torch.tensor(before + after, device=self.device))
            embeds.append(torch.cat([text[:start], tokens, text[start:]]))
            offsets = torch.arange(n_kept) if selection is None else selection.positions.cpu()
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

    @torch.inference_mode()
    def ground(
        self,
        states: Sequence[ImageState],
        conversations: Sequence[Conversation],
        selections: Sequence[Selection | None],
        answer: str = "forced",
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> list[Grounding]:
        """Decode masks for a batch of (image, conversation, selection) entries.

        Rows of unequal length are padded on the right, which changes no result. A ``LayerPlan``
        among the selections drops tokens inside the language model. Timings are the batch's, shared
        evenly among its rows.

        Args:
            states: Encoded images.
            conversations: One per image.
            selections: One per image; None keeps every token.
            answer: "forced": the conversations' answers are read with one pass per row.
                "generated": the model says its own, greedily and row by row; in the last turn it
                stops at [SEG], in earlier ones at the end of the answer, which later turns see.
            max_new_tokens: Longest generated answer.

        Raises:
            ValueError: If the three sequences differ in length or are empty, the kind of answer is
                unknown, or a plan's budget is impossible.
        """
        if not states or not len(states) == len(conversations) == len(selections):
            raise ValueError(
                f"one state, conversation and selection per row are needed, got {len(states)}, "
                f"{len(conversations)} and {len(selections)}"
            )
        check_name(answer, get_args(Answer), "kind of answer")
        watch = Stopwatch(self.device)
        with watch("projector"):
            visual = [self.visual_tokens(s, sel) for s, sel in zip(states, selections, strict=True)]
        with watch("llm"):
            if answer == "generated":
                rows = zip(visual, conversations, selections, strict=True)
                said = [
                    say(self, tokens, talk, selection, max_new_tokens)
                    for tokens, talk, selection in rows
                ]
            else:
                said = read_forced(self, visual, conversations, selections)
        with watch("mask_decoder"):
            decoded = (
                [self._masks(states, said)]
                if answer == "forced"
                else [self._masks([state], [row]) for state, row in zip(states, said, strict=True)]
            )
        pairs = [pair for batch in decoded for pair in batch]
        share = {stage: seconds / len(states) for stage, seconds in watch.seconds.items()}
        return [
            Grounding(
                logits, row.seg_states, embeddings, (row.selection,), dict(share), row.answers
            )
            for (logits, embeddings), row in zip(pairs, said, strict=True)
        ]

    @property
    def read_offset(self) -> int:
        """Distance of the state a mask is read from to the one that predicts [SEG]."""
        return int(self.options.read == "seg")

    def _masks(
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

    @torch.inference_mode()
    def segment(
        self,
        image: Image.Image | str | Path | bytes,
        text: str | Sequence[str],
        pruner: Pruner | None = None,
        budget: int | float | None = None,
        protocol: str = "single",
        answer: str = "forced",
        question_index: int = 0,
        answer_index: int = 0,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> Grounding:
        """Segment what one or several expressions refer to in one image.

        Args:
            image: Picture, path or encoded bytes.
            text: One expression or several.
            pruner: Method that chooses visual tokens; None keeps all.
            budget: Tokens to keep, 1 to ``n_tokens``, or their share of all, between 0 and 1;
                required with a pruner.
            protocol: "single": every expression in a pass and with a selection of its own.
                "conversation": all in one multi-turn pass with one shared selection, as the
                official evaluation does.
            answer: "forced": the answer is put into the model's mouth, as in the evaluation.
                "generated": the model answers itself, and an answer without [SEG] gives no mask
                (see ``Grounding.found``).
            question_index: Question template, 0 to 15.
            answer_index: Answer template of a forced answer, 0 to 4.
            max_new_tokens: Longest generated answer.

        Returns:
            Masks [T, H, W] in the order of the expressions.

        Raises:
            ValueError: If there is no expression or an empty one, the budget is missing or out of
                range, or the protocol unknown.

        Example:
            >>> from litelvlm import load_model, load_refer, get_pruner
            >>> model, sample = load_model("embedded"), load_refer("embedded", split="val")[0]
            >>> result = model.segment(sample.image(), "the red circle", get_pruner("litelvlm"), budget=48)
            >>> len(result.selection.indices)
            48
        """
        expressions = [text] if isinstance(text, str) else list(text)
        if not expressions:
            raise ValueError(
                "text holds no expression; give at least one, for example 'the red circle'"
            )
        check_name(protocol, PROTOCOLS, "protocol")
        check_name(answer, get_args(Answer), "kind of answer")
        if pruner is not None:
            if budget is None:
                raise ValueError(
                    f"pruner {pruner.name!r} needs a budget: tokens from 1 to {self.n_tokens}, or a share"
                )
            budget = check_budget(budget, self.n_tokens)
            if isinstance(pruner, LayerPruner):
                pruner.schedule(budget, self.n_tokens, len(self.llama.model.layers))
        elif budget is not None and budget != self.n_tokens:
            raise ValueError(
                f"budget {budget} was given without a pruner; name one, for example get_pruner('litelvlm')"
            )
        groups = [expressions] if protocol == "conversation" else [[e] for e in expressions]
        talks = [conversation(group, question_index, answer_index) for group in groups]
        state = self.encode_image(image)
        watch = Stopwatch(self.device)
        with watch("selection"):
            selections = [
                None
                if pruner is None or budget is None
                else pruner.select(self.cues(state, talk.questions, conversation=talk), budget)
                for talk in talks
            ]
        pairs = zip(talks, selections, strict=True)
        passes = [
            self.ground([state], [talk], [kept], answer, max_new_tokens)[0] for talk, kept in pairs
        ]
        return Grounding(
            torch.cat([p.logits for p in passes]),
            torch.cat([p.seg_state for p in passes]),
            torch.cat([p.seg_embeddings for p in passes]),
            tuple(p.selection for p in passes),
            add_timings([state.timings, watch.seconds, *(p.timings for p in passes)]),
            tuple(said for p in passes for said in p.answers),
        )
