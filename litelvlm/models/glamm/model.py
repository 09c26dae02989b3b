"""GLaMM as a grounding model: cues for methods, masks for conversations, segmentation."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.clip.readouts import ranked_patches
from litelvlm.data.images import ImageSource, open_image
from litelvlm.models.base import (
    Conversation,
    Grounder,
    Grounding,
    QueriedModel,
    TowerGroundingModel,
)
from litelvlm.models.glamm.attribution.query import GlammQuery
from litelvlm.models.glamm.batched.grounder import SharedGrounder
from litelvlm.models.glamm.cues import image_cues
from litelvlm.models.glamm.language.decoding import generate_answers, read_given_answers
from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.glamm.prompting import prompts
from litelvlm.models.glamm.timed import GlammCall
from litelvlm.models.segmenting import MAX_NEW_TOKENS, Stopwatch, checked_entries, only_frame
from litelvlm.models.timed import TimedModel
from litelvlm.pruning import Cues, Pruner, Selection
from litelvlm.pruning.budgets import ModelSizes


class Glamm(GlammNetwork, TowerGroundingModel, QueriedModel, TimedModel):
    """GLaMM, the grounding model of the official GLaMM and LiteLVLM code."""

    family = "glamm"
    described = "a GLaMM"
    n_questions, n_answers = len(prompts.QUESTIONS), len(prompts.ANSWERS)

    @property
    def n_layers(self) -> int:
        """Layers of the language model."""
        return len(self.llama.model.layers)

    def conversation(
        self,
        expressions: Sequence[str],
        question_index: int | Sequence[int] = 0,
        answer_index: int | Sequence[int] = 0,
    ) -> Conversation:
        """Build the conversation in GLaMM's words (see ``prompting.prompts.conversation``)."""
        return prompts.conversation(expressions, question_index, answer_index)

    def query(
        self,
        image: ImageSource,
        expression: str,
        question_index: int = 0,
        batch_size: int | None = None,
    ) -> GlammQuery:
        """Ask about an expression in one of the 16 question templates, unpruned."""
        conversation = self.conversation([expression], question_index)
        return self.query_conversation(self.encode_image(image), conversation, batch_size)

    def last_layer_embeds(  # type: ignore[override]  # states are those of this family
        self, state: ImageState
    ) -> Float[Tensor, "n p"]:
        """Patch states of CLIP's last layer in the joint space, not normalised."""
        return ranked_patches(state.clip, "last")[0]

    def query_conversation(  # type: ignore[override]  # states are those of this family
        self, state: ImageState, conversation: Conversation, batch_size: int | None = None
    ) -> GlammQuery:
        """Ask which visual tokens the masks of a conversation rest on, unpruned."""
        return GlammQuery(self, state, conversation, batch_size)

    @torch.inference_mode()
    def projected_image(self, image: ImageSource) -> Float[Tensor, "n d"]:
        """Projected visual tokens of an image; SAM does not run."""
        crop = self.tower.pixel_values(open_image(image))
        return self.project(self.tower.image(crop).patch_tokens[0])

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(parameter.nbytes for parameter in self.parameters())

    def sizes(self, n_tokens: int) -> ModelSizes:
        """Sizes that decide which budgets a method can keep to; the last block is not read."""
        return ModelSizes(n_tokens, self.tower.n_blocks - 1, self.n_layers)

    @torch.inference_mode()
    def timed_call(
        self,
        image: ImageSource | Sequence[ImageSource],
        expressions: Sequence[str],
        pruner: Pruner | None,
        budget: int,
    ) -> GlammCall:
        """Prepare one call about all expressions in one conversation; kept images are not read."""
        if self.image_cache is not None:
            return self.with_image_cache(None).timed_call(image, expressions, pruner, budget)
        picture = open_image(only_frame(self.name, image))
        conversation = self.conversation(expressions)
        given = None if pruner is None else budget
        segment = partial(self.segment, picture, expressions, pruner, given, "conversation")
        call = GlammCall(self, picture, conversation, pruner, budget, segment)
        _ = call.spliced  # what a method cannot choose is refused now
        return call

    def grounder(self, batch_size: int, answer: str = "forced") -> Grounder:
        """Make a grounder; that of forced answers does the shared work of all passes once."""
        if answer == "forced":
            return SharedGrounder(self, batch_size)
        return super().grounder(batch_size, answer)

    def cues(  # type: ignore[override]  # states are those of this family
        self,
        state: ImageState,
        conversation: Conversation,
        coverage: Float[Tensor, "*n"] | None = None,
        key: int = 0,
    ) -> Cues:
        """Offer what a method may read (see ``GroundingModel.cues``).

        CLIP reads the questions as full sentences, as in the official code, or what
        ``options.clip_text`` names.
        """
        return image_cues(self, state, conversation, coverage, key)

    @torch.inference_mode()
    def ground(  # type: ignore[override]  # states are those of this family
        self,
        states: Sequence[ImageState],
        conversations: Sequence[Conversation],
        selections: Sequence[Selection | None],
        answer: str = "forced",
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> list[Grounding]:
        """Decode masks (see ``GroundingModel.ground``).

        Forced answers are read in one pass; padding changes no result. Generated ones are greedy,
        one conversation at a time: the last stops at [SEG], earlier ones run to their end, as later
        turns see them. A ``LayerPlan`` among the selections drops tokens inside the language model.
        Timings are the batch's, shared evenly among its entries.

        Raises:
            ValueError: As there, or if a plan's budget is impossible.
        """
        entries = checked_entries(states, conversations, selections, answer)
        watch = Stopwatch(self.device)
        with watch("projector"):
            visual = [self.visual_tokens(state, chosen) for state, _, chosen in entries]
        with watch("llm"):
            if answer == "forced":
                outputs = read_given_answers(self, visual, conversations, selections)
            else:
                outputs = [
                    generate_answers(self, tokens, asked, chosen, max_new_tokens)
                    for tokens, (_, asked, chosen) in zip(visual, entries, strict=True)
                ]
        with watch("mask_decoder"):
            if answer == "forced":
                decoded = self.decode_masks(states, outputs)
            else:
                pairs = zip(states, outputs, strict=True)
                decoded = [self.decode_masks([state], [turns])[0] for state, turns in pairs]
        share = {stage: seconds / len(states) for stage, seconds in watch.seconds.items()}
        return [
            Grounding(
                logits,
                turns.seg_states,
                embeddings,
                (turns.selection,),
                dict(share),
                turns.answers,
                turns.found,
            )
            for (logits, embeddings), turns in zip(decoded, outputs, strict=True)
        ]
