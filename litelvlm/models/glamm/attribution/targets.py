"""What visual tokens can be important for: three scalars of an unpruned prediction."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from litelvlm.models.attribution import TokenTargets, at_least_float32, frozen, rows_at_once
from litelvlm.models.base import Conversation
from litelvlm.models.glamm.language.given import forward_given
from litelvlm.models.glamm.language.llama import causal_mask
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.outputs import ImageState

TARGETS = ("mask_logit", "soft_dice", "seg_log_prob")
"""Mean mask logit in the unpruned prediction; soft Dice with it; log-probability of [SEG]."""


class Targets(TokenTargets):
    """The three targets of one image and conversation, as functions of the projected tokens.

    Gradients reach the tokens through the states before [SEG] only: SAM's image embedding and the
    reference mask are constants. The reference is the model's own prediction with all tokens, at
    the decoder's resolution, without the padding of SAM's square; an empty one is replaced by its
    pixel of highest logit. With several turns a target is the mean over their [SEG]s.

    Args:
        model: Grounding model.
        state: The encoded image.
        conversation: Questions with their teacher-forced answers.

    Attributes:
        visual: Projected visual tokens [n, d], the point at which the targets are usually taken.
        embeds: Input embeddings of the unpruned sequence [s, d].
        start: Index of the first visual token in it.
        seg: Indices of the states that predict a [SEG].
        reference: Reference masks [t, h, w].
        empty: Whether a reference is a stand-in for an empty prediction.
    """

    names = TARGETS
    main = TARGETS.index("soft_dice")

    def __init__(self, model: GlammNetwork, state: ImageState, conversation: Conversation) -> None:
        self.model = model
        with frozen(model), torch.no_grad():
            # States of an image are inference tensors, which autograd refuses; a copy is a plain
            # one.
            plain = replace(state, sam_embeddings=state.sam_embeddings.clone())
            self._masker = model.masker.begin(plain)
            self.visual: Float[Tensor, "n d"] = model.project(state.clip.patch_tokens[0].clone())
            spliced = model.splice([self.visual], [conversation], [None])
            self.embeds, self.start, self.seg = (
                spliced.embeds[0],
                spliced.image_start[0],
                spliced.seg_index[0],
            )
            self.length = len(self.embeds)
            logits = self._mask_logits(self._given(self.embeds[None]))[0]
            self.reference: Bool[Tensor, "t h w"] = logits > 0
            highest = torch.zeros_like(logits.flatten(1), dtype=torch.bool)
            highest[torch.arange(len(logits)), logits.flatten(1).argmax(1)] = True
            found = self.reference.flatten(1).any(1)
            self.empty = not bool(found.all())
            self.reference = torch.where(
                found[:, None, None], self.reference, highest.view_as(logits)
            )

    @property
    def network(self) -> nn.Module:
        """The grounding model."""
        return self.model

    @property
    def layers(self) -> Sequence[nn.Module]:
        """Layers of the language model."""
        return list(self.model.llama.model.layers)

    @property
    def batch_size(self) -> int:
        """Rows whose backward pass fits into 4 GiB, at least one."""
        config = self.model.llama.config
        return rows_at_once(
            self.length,
            config.num_hidden_layers,
            config.hidden_size,
            config.intermediate_size,
            self.visual.element_size(),
        )

    def __call__(self, visual: Float[Tensor, "b n d"]) -> Float[Tensor, "b 3"]:
        """Targets for these visual tokens, in the order of ``TARGETS``; differentiable.

        At least float32.
        """
        return self.of_embeds(self.spliced(visual))

    def spliced(self, visual: Float[Tensor, "b n d"]) -> Float[Tensor, "b s d"]:
        """The unpruned sequences with these visual tokens."""
        before, after = self.embeds[: self.start], self.embeds[self.start + self.n_tokens :]
        rows = len(visual)
        return torch.cat([before.expand(rows, -1, -1), visual, after.expand(rows, -1, -1)], dim=1)

    def of_embeds(
        self, embeds: Float[Tensor, "b s d"], mask: Tensor | None = None
    ) -> Float[Tensor, "b 3"]:
        """Targets of whole sequences of input embeddings.

        Args:
            embeds: Input embeddings.
            mask: Additive attention mask [b, 1, s, s]; causal if left out.
        """
        return self.of_states(self._given(embeds, mask))

    def of_states(self, seg_states: Float[Tensor, "b t d"]) -> Float[Tensor, "b 3"]:
        """Targets of the states before [SEG] (after the final norm)."""
        logits = self._mask_logits(seg_states)
        inside = self.reference.to(logits.dtype)
        mean_logit = (logits * inside).sum((2, 3)) / inside.sum((1, 2))
        probability = logits.sigmoid()
        overlap, predicted = (probability * inside).sum((2, 3)), probability.sum((2, 3))
        dice = 2 * overlap / (predicted + inside.sum((1, 2)))
        word_logits: Tensor = self.model.llama.lm_head(seg_states)
        seg_log_prob = at_least_float32(word_logits).log_softmax(-1)[
            ..., self.model.tokenizer.seg_id
        ]
        return torch.stack([mean_logit, dice, seg_log_prob], dim=-1).mean(1)

    @torch.no_grad()
    def keeping(
        self, kept: Bool[Tensor, "b n"], batch_size: int | None = None
    ) -> Float[Tensor, "b 3"]:
        """Targets when only some visual tokens reach the language model; later positions move up.

        Args:
            kept: Tokens that stay, row by row; a row may keep none.
            batch_size: Rows at once; ``self.batch_size`` if left out.
        """
        dtype = torch.promote_types(self.embeds.dtype, torch.float32)
        values = torch.empty(len(kept), len(TARGETS), dtype=dtype, device=self.embeds.device)
        counts = kept.sum(1)
        for count in counts.unique().tolist():
            for rows in torch.nonzero(counts == count)[:, 0].split(batch_size or self.batch_size):
                places = torch.ones(
                    len(rows), len(self.embeds), dtype=torch.bool, device=self.embeds.device
                )
                places[:, self.start : self.start + self.n_tokens] = kept[rows].to(places.device)
                embeds = self.embeds.expand(len(rows), -1, -1)[places].unflatten(0, (len(rows), -1))
                values[rows] = self.of_embeds(embeds)
        return values

    @torch.no_grad()
    def hiding(
        self, hidden: Bool[Tensor, "b n"], batch_size: int | None = None
    ) -> Float[Tensor, "b 3"]:
        """Targets when some visual tokens stay but no other token may attend to them."""
        length = len(self.embeds)
        causal = causal_mask(length, self.embeds.dtype, self.embeds.device)
        own = torch.eye(length, dtype=torch.bool, device=self.embeds.device)
        values = []
        for rows in hidden.split(batch_size or self.batch_size):
            columns = torch.zeros(
                len(rows), 1, 1, length, dtype=torch.bool, device=self.embeds.device
            )
            columns[:, 0, 0, self.start : self.start + self.n_tokens] = rows.to(columns.device)
            mask = causal.masked_fill(columns & ~own, torch.finfo(self.embeds.dtype).min)
            values.append(self.of_embeds(self.embeds.expand(len(rows), -1, -1), mask))
        return torch.cat(values)

    def _given(
        self, embeds: Float[Tensor, "b s d"], mask: Tensor | None = None
    ) -> Float[Tensor, "b t d"]:
        """States before [SEG] of whole sequences of input embeddings."""
        positions = torch.arange(embeds.shape[1], device=embeds.device).expand(len(embeds), -1)
        # Tokens are left out before a [SEG] only, so its distance from the end does not change.
        seg = [[i - len(self.embeds) for i in self.seg]] * len(embeds)
        return forward_given(self.model.llama, embeds, positions, seg, mask).stacked

    def _mask_logits(self, seg_states: Float[Tensor, "b t d"]) -> Float[Tensor, "b t h w"]:
        """Mask logits at the decoder's resolution, without padding, float32."""
        low = self._masker.low_resolution(self.model.seg_head(seg_states).flatten(0, 1))
        rows, columns = self._masker.inside
        return at_least_float32(low.unflatten(0, seg_states.shape[:2])[..., :rows, :columns])
