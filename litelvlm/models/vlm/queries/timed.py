"""One call of a vision-language model, part by part, as a bench times it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import PreTrainedConfig, StoppingCriteria, StoppingCriteriaList

from litelvlm.models.segmenting import Stopwatch
from litelvlm.models.timed import LANGUAGE_MODEL, TimedCall
from litelvlm.models.vlm.door import PrunedVlm
from litelvlm.models.vlm.layers.find import layer_drops
from litelvlm.models.vlm.network import greedy_decoding
from litelvlm.models.vlm.preparing import PreparedCall, PruningSettings, pruned_call
from litelvlm.models.vlm.prompts import Prompt, Prompter
from litelvlm.models.vlm.queries.encoded import EncodedPicture, own_generate
from litelvlm.models.vlm.shorten import without_single_axis
from litelvlm.pruning import LayerPruner

Encode = Callable[[Image.Image], EncodedPicture]


class Watching(StoppingCriteria):
    """Hands every generated token to a function; it never stops.

    Args:
        stop: The function.
    """

    def __init__(self, stop: Callable[[int], bool]) -> None:
        self.stop = stop

    def __call__(self, input_ids: Tensor, scores: Tensor | None, **options: object) -> Tensor:
        """Tell of the last token of the only row."""
        self.stop(int(input_ids[0, -1]))
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


@dataclass(frozen=True, eq=False)
class VlmCall(TimedCall):
    """One question about one picture.

    Attributes:
        encode: Runs the image encoder.
        prompter: Makes the prompt.
        picture: The image.
        sentence: The question.
        settings: Method and budget as ``prune`` takes them; None for the unpruned model.
    """

    encode: Encode
    prompter: Prompter
    picture: Image.Image
    sentence: str
    settings: PruningSettings | None

    @cached_property
    def encoded(self) -> EncodedPicture:
        """The encoded picture."""
        return self.encode(self.picture)

    @cached_property
    @torch.no_grad()
    def prepared(self) -> PreparedCall | None:
        """The shortened prompt; None for the unpruned model.

        Raises:
            ValueError: If the method cannot choose.
        """
        return self._choose(self.encoded)

    @property
    def prompt(self) -> Prompt:
        """The question with all visual tokens."""
        return self.prompter.prompt(self.sentence, self.encoded.view.n_tokens)

    @property
    def layer_counts(self) -> tuple[int, ...]:
        """Visual tokens of each layer."""
        n_layers = len(self.encoded.network.get_decoder().layers)
        if self.settings is None or self.prepared is None:
            return (self.encoded.view.n_tokens,) * n_layers
        pruner, budget = self.settings.pruner, int(self.settings.budget)
        if isinstance(pruner, LayerPruner):
            return pruner.schedule(budget, self.encoded.view.n_tokens, n_layers)
        return (self.prepared.token_counts[0],) * n_layers

    @property
    def n_other(self) -> int:
        """Tokens of the text."""
        return len(self.prompt.ids) - self.prompt.n_tokens

    @property
    def language(self) -> PreTrainedConfig:
        """Sizes of the decoder."""
        return self.encoded.network.config.get_text_config()

    def prefill(self) -> None:
        """The language model over the prompt, without its head."""
        self._run(self.encoded, self.prepared)

    @torch.no_grad()
    def decode(self, stop: Callable[[int], bool], n_tokens: int) -> None:
        """Generate an answer of fixed length greedily, the image encoded again."""
        network = self.encoded.network
        ids = self.prompt.ids[None].to(network.device)
        given = {**self.encoded.arguments(ids), **self.encoded.tensors}
        length = {"min_new_tokens": n_tokens + 1, "max_new_tokens": n_tokens + 1}
        watching = StoppingCriteriaList([Watching(stop)])
        options: dict[str, object] = {**length, "stopping_criteria": watching}
        with greedy_decoding(network):
            if self.settings is None:
                own_generate(network)(**given, **options)
            else:
                PrunedVlm(self.settings).generate(None, **given, **options)

    @torch.no_grad()
    def whole(self) -> Mapping[str, float]:
        """From the picture to the logits of the answer's first token."""
        watch = Stopwatch(self.encoded.network.device)
        with watch("image_tower"):
            encoded = self.encode(self.picture)
        with watch("selection"):
            prepared = self._choose(encoded)
        with watch(LANGUAGE_MODEL):
            states = self._run(encoded, prepared)
            self.encoded.network.get_output_embeddings()(states[:, -1:])
        return watch.seconds

    def _choose(self, encoded: EncodedPicture) -> PreparedCall | None:
        if self.settings is None:
            return None
        return pruned_call(self.settings, encoded.sources(self.prompt, self.settings.clip), {})

    def parts(self) -> Mapping[str, Callable[[], object]]:
        """Image tower with projector, and choice."""
        found: dict[str, Callable[[], object]] = {"image_tower": lambda: self.encode(self.picture)}
        if self.settings is not None:
            found["selection"] = lambda: self._choose(self.encoded)
        return found

    @torch.no_grad()
    def _run(
        self, encoded: EncodedPicture, prepared: PreparedCall | None
    ) -> Float[Tensor, "1 s d"]:
        network, settings = encoded.network, self.settings
        # Without the language head, which published costs leave out too.
        body = network.get_submodule("model")
        if settings is None or prepared is None:
            ids = self.prompt.ids.to(network.device)
            positions = without_single_axis(encoded.positions(ids)[:, None])
            images = {"image": encoded.encoded.output}
            given = encoded.arguments(ids[None])
            out = body(**given, mm_encoder_outputs=images, position_ids=positions, use_cache=False)
            whole: Tensor = out.last_hidden_state
            return whole
        prompt, positions = prepared.prompt, prepared.prompt.position_ids
        positions = without_single_axis(positions + encoded.family.first_position)
        dropping: AbstractContextManager[object] = nullcontext()
        if isinstance(settings.pruner, LayerPruner):
            drops = layer_drops(network, encoded.family, settings.pruner, prepared.slots, prompt)
            dropping = drops.hooked()
        with dropping:
            out = body(**prepared.arguments, position_ids=positions, use_cache=False)
        shortened: Tensor = out.last_hidden_state
        return shortened
