"""``generate`` on shortened prompts, while all that it calls back sees the full ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteriaList,
)
from transformers.generation.stopping_criteria import MaxLengthCriteria
from transformers.generation.streamers import BaseStreamer
from transformers.utils.generic import ModelOutput

from litelvlm.models.vlm.arguments import setting
from litelvlm.models.vlm.families import VlmFamily
from litelvlm.models.vlm.network import with_features
from litelvlm.models.vlm.preparing import PreparedCall
from litelvlm.models.vlm.selecting import ItemSlots

Made = Callable[..., object]  # type: ignore[explicit-any]  # arguments differ by release


def short_limits(
    model: PreTrainedModel, given: Mapping[str, object], cut: int
) -> dict[str, object]:
    """Limits of the whole length, wherever they are set, less the tokens cut from the prompt.

    Args:
        model: The model.
        given: Arguments of the call.
        cut: Tokens that the prompt lost.
    """
    changed: dict[str, object] = {}
    config = deepcopy(given.get("generation_config"))
    for name, counts_new in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
        limit = setting(model, given, name)
        if not isinstance(limit, int) or setting(model, given, counts_new) is not None:
            continue
        if given.get(name) is None and isinstance(config, GenerationConfig):
            setattr(config, name, limit - cut)
            changed["generation_config"] = config
        else:
            changed[name] = limit - cut
    return changed


@dataclass(frozen=True, eq=False)
class FullPrompts:
    """The prompts of one call of ``generate`` as the caller knows them.

    Attributes:
        input_ids: The full prompts [b, s].
        mask: 1 for a token, 0 for padding [b, s].
        call: The pruned call.
        family: The family of the model.
    """

    input_ids: Int[Tensor, "b s"]
    mask: Int[Tensor, "b s"]
    call: PreparedCall
    family: VlmFamily

    @property
    def short(self) -> int:
        """Length of the shortened prompts."""
        return self.call.prompt.arguments["input_ids"].shape[1]

    @property
    def cut(self) -> int:
        """Tokens by which the prompts got shorter."""
        return self.input_ids.shape[1] - self.short

    def of(self, sequences: Int[Tensor, "k t"]) -> Int[Tensor, "k u"]:
        """Sequences with the full prompts in front, one prompt or more to each row."""
        copies = len(sequences) // len(self.input_ids)
        prompts = self.input_ids.repeat_interleave(copies, dim=0).to(sequences.device)
        return torch.cat([prompts, sequences[:, self.short :]], dim=1)

    @contextmanager
    def seen(self, model: PreTrainedModel) -> Iterator[None]:
        """Let the next ``generate`` of a model build its callbacks for the full prompts.

        The library builds them in methods of its own. Each stand-in answers once, so that an
        assistant inside, which may be the same model, gets the model's own again.
        """
        stand_ins: Mapping[str, Made] = {
            "_validate_generated_length": self._checked,
            "_get_logits_processor": self._processors,
            "_get_stopping_criteria": self._criteria,
            "_expand_multimodal_outputs": self._copies,
        }

        answered: set[str] = set()

        def once(name: str, own: Made, *given: object, **options: object) -> object:
            answered.add(name)
            del model.__dict__[name]
            return stand_ins[name](own, *given, **options)

        for name in filter(partial(hasattr, model), stand_ins):
            model.__dict__[name] = partial(once, name, getattr(model, name))
        try:
            yield
        finally:
            for name in stand_ins:
                model.__dict__.pop(name, None)
        if missing := sorted({"_get_logits_processor", "_get_stopping_criteria"} - answered):
            raise ValueError(
                f"generate of {type(model).__name__} did not call {missing[0]} as in transformers "
                "5.19 to 5.23, so callbacks would see shortened prompts; install one of these"
            )

    def _checked(self, own: Made, config: GenerationConfig, length: int, *given: object) -> None:
        """The library's check of all limits, whose messages name the caller's own numbers."""
        own(self._full_limits(config), length + self.cut, *given)

    def _processors(
        self, own: Made, *, generation_config: GenerationConfig, **options: object
    ) -> LogitsProcessorList:
        """The library's and the caller's processors, which see full prompts."""
        config, found = self._full_limits(generation_config), dict(options)
        copies = max(config.num_beams or 1, config.num_return_sequences or 1)
        model_kwargs = cast(Mapping[str, object], options.get("model_kwargs") or {})
        found["input_ids_seq_length"] = self.input_ids.shape[1]
        found["encoder_input_ids"] = self.input_ids
        found["model_kwargs"] = {
            **model_kwargs,
            "attention_mask": self.mask.repeat_interleave(copies, dim=0),
        }
        made = cast(LogitsProcessorList, own(generation_config=config, **found))
        return LogitsProcessorList([self._seeing(made)] if made else [])

    def _seeing(self, made: LogitsProcessorList) -> Callable[[Tensor, Tensor], Tensor]:
        """Processors as one, which sees full prompts."""

        def processed(input_ids: Tensor, scores: Tensor) -> Tensor:
            return made(cast(torch.LongTensor, self.of(input_ids)), scores)

        return processed

    def _criteria(
        self, own: Made, *, generation_config: GenerationConfig, **options: object
    ) -> StoppingCriteriaList:
        """The library's and the caller's stopping rules, which see full prompts."""
        made = own(generation_config=self._full_limits(generation_config), **options)
        found = StoppingCriteriaList()
        for rule in cast(StoppingCriteriaList, made):
            if type(rule) is MaxLengthCriteria:  # whose limit the library reads
                found.append(MaxLengthCriteria(rule.max_length - self.cut))
            else:
                found.append(_Rule(rule, self))
        return found

    def _full_limits(self, config: GenerationConfig) -> GenerationConfig:
        """The configuration with limits of the whole length that count the full prompt."""
        changed = copy(config)
        for name in ("max_length", "min_length"):
            if (limit := getattr(config, name)) is not None:
                setattr(changed, name, limit + self.cut)
        return changed

    def _copies(
        self,
        own: Made,
        input_ids: Tensor,
        mm_encoder_output: Mapping[str, ModelOutput],
        expand_size: int = 1,
        **options: object,
    ) -> dict[str, ModelOutput]:
        """The encoders' outputs for several sequences of each prompt: all images of a row anew."""
        rows = [[s for s in self.call.slots if s.item.row == row] for row in range(len(input_ids))]
        order = [entry for row in rows for entry in row * expand_size]
        return {
            modality: self._ordered(output, modality, order)
            for modality, output in mm_encoder_output.items()
        }

    def _ordered(
        self, output: ModelOutput, modality: str, order: Sequence[ItemSlots]
    ) -> ModelOutput:
        """A shortened encoder's output with its images in another order, some of them repeated."""
        slots = [s for s in self.call.slots if s.item.modality == modality]
        places = [slots.index(s) for s in order if s.item.modality == modality]
        features = [slots[place].take(slots[place].item.features) for place in places]
        layers = output.get("deepstack_features") or []
        deepstack = [[layer[place] for place in places] for layer in layers]
        return with_features(self.family, output, features, deepstack)

    def streamer(self, given: object) -> BaseStreamer | None:
        """The caller's streamer, which gets the full prompt first."""
        return None if given is None else _Streamer(cast(BaseStreamer, given), self.input_ids)


class _Rule:
    """A stopping rule that sees full prompts."""

    def __init__(self, inner: Callable[..., Tensor], full: FullPrompts) -> None:  # type: ignore[explicit-any]
        self.inner, self.full = inner, full
        if hasattr(inner, "eos_token_id"):  # by which the library knows that rows may end
            self.eos_token_id = inner.eos_token_id

    def __call__(self, input_ids: Tensor, scores: object, **options: object) -> Tensor:
        return self.inner(self.full.of(input_ids), scores, **options)


class _Streamer(BaseStreamer):
    """A caller's streamer, which gets the full prompt first."""

    def __init__(self, inner: BaseStreamer, prompt: Int[Tensor, "b s"]) -> None:
        self.inner, self.prompt, self.begun = inner, prompt, False

    def put(self, value: Tensor) -> None:
        """Hand on what was generated; the first value is the prompt."""
        self.inner.put(value if self.begun else self.prompt.cpu())
        self.begun = True

    def end(self) -> None:
        """Hand on the end."""
        self.inner.end()
