"""What visual tokens can be important for: three scalars of an unpruned prediction."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import LlamaConfig

from litelvlm.models.attribution import (
    TokenTargets,
    at_least_float32,
    block_groups,
    frozen,
    leave_one_out,
)
from litelvlm.models.base import Conversation
from litelvlm.models.glamm.language import llama as llama_loop
from litelvlm.models.glamm.language.layer_view import LlamaView
from litelvlm.models.glamm.language.llama import causal_mask, forward_given
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.glamm.prompting.places import query_places
from litelvlm.names import check_name

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
    def config(self) -> LlamaConfig:
        """Sizes of the language model."""
        return self.model.llama.config

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

    def of_kept(self, kept: Bool[Tensor, "b n"]) -> Float[Tensor, "b 3"]:
        """Targets without the other visual tokens; later positions move up."""
        rows = len(kept)
        embeds = self.embeds.expand(rows, -1, -1)[self.places(kept)].unflatten(0, (rows, -1))
        return self.of_embeds(embeds)

    def of_hidden(self, hidden: Bool[Tensor, "b n"]) -> Float[Tensor, "b 3"]:
        """Targets when no other token may attend to some visual tokens."""
        length, dtype = self.length, self.embeds.dtype
        own = torch.eye(length, dtype=torch.bool, device=self.embeds.device)
        columns = ~self.places(~hidden)[:, None, None]
        causal = causal_mask(length, dtype, self.embeds.device)
        mask = causal.masked_fill(columns & ~own, torch.finfo(dtype).min)
        return self.of_embeds(self.embeds.expand(len(hidden), -1, -1), mask)

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


QUERIES = ("seg", "last_prompt")
BLOCKS = 6
"""Along each side of the grid."""


@torch.inference_mode()
def attention_rows(
    model: GlammNetwork, state: ImageState, conversation: Conversation, query: str = "seg"
) -> Float[Tensor, "layers heads n"]:
    """Attention of one text token to the visual tokens, in every layer and head.

    This is the decoder's self-attention. Only one row is computed, so any attention kernel works.

    Args:
        model: Grounding model.
        state: The encoded image.
        conversation: Questions with their teacher-forced answers.
        query: "seg": the token whose state predicts [SEG], with several turns the mean over them;
            "last_prompt": the last token before the first answer.

    Returns:
        Weights in [0, 1], float32. A row sums to less than 1, since the text has its share.

    Raises:
        ValueError: If the query is unknown.
    """
    check_name(query, QUERIES, "query")
    spliced = model.splice([model.visual_tokens(state, None)], [conversation], [None])
    start, positions = spliced.image_start[0], spliced.position_ids
    stop = start + model.n_tokens
    after_image = query_places(
        model.tokenizer, conversation, "seg" if query == "seg" else "last_prompt"
    )
    places = torch.tensor(after_image, device=model.device) + stop
    rows: list[Tensor] = []

    def read(index: int, hidden_states: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        view = LlamaView(
            model.llama, index, hidden_states[0], position_ids[0], slice(start, stop), places
        )
        rows.append(view.attention(places)[:, :, start:stop].mean(1))
        return hidden_states, position_ids

    llama_loop.decode(model.llama, spliced.embeds, positions, before_layer=read)
    return torch.stack(rows)


def target_gradient(
    model: GlammNetwork, state: ImageState, conversation: Conversation, target: str = "mask_logit"
) -> Float[Tensor, "n d"]:
    """Gradient of a target with respect to the projected visual tokens, float32.

    SAM and the reference mask (the unpruned prediction) are constants, and weights receive no
    gradient.

    Args:
        model: Grounding model; left as found.
        state: The encoded image.
        conversation: Questions with their teacher-forced answers.
        target: One of ``TARGETS``.

    Raises:
        ValueError: If the target is unknown.
    """
    column = TARGETS.index(check_name(target, TARGETS, "target"))
    with frozen(model):
        targets = Targets(model, state, conversation)
        visual = targets.visual.detach().requires_grad_(True)
        value = targets(visual[None])[0, column]
        (gradient,) = torch.autograd.grad(value, visual)
    found: Tensor = gradient.float()
    return found


def block_importance(
    model: GlammNetwork, state: ImageState, conversation: Conversation
) -> Float[Tensor, "n"]:
    """Fall of the soft Dice when a square block of visual tokens is left out, one value per token.

    All tokens of a block have the block's value; ``BLOCKS`` blocks lie along each side of the grid.

    Args:
        model: Grounding model.
        state: The encoded image.
        conversation: Questions with their teacher-forced answers.

    Returns:
        Target of the whole minus target without the block, float32; positive where the block helps.

    Raises:
        ValueError: If the grid has fewer rows or columns than blocks.
    """
    groups = block_groups(state.view.layout, BLOCKS).to(model.device)
    falls = leave_one_out(Targets(model, state, conversation), groups)
    return falls[:, TARGETS.index("soft_dice")][groups]
