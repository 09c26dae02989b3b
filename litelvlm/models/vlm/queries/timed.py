"""One call of a vision-language model, part by part, as a bench times it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from time import perf_counter

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList

from litelvlm.models.costs import decoder_macs
from litelvlm.models.timed import LANGUAGE_MODEL, TimedCall
from litelvlm.models.vlm.door import PrunedVlm
from litelvlm.models.vlm.layers.find import layer_drops
from litelvlm.models.vlm.network import greedy_decoding
from litelvlm.models.vlm.preparing import PreparedCall, PruningSettings, pruned_call
from litelvlm.models.vlm.prompts import Prompter
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
        encoded: The encoded picture.
        prepared: The shortened prompt; None for the unpruned model.
    """

    encode: Encode
    prompter: Prompter
    picture: Image.Image
    sentence: str
    settings: PruningSettings | None
    encoded: EncodedPicture
    prepared: PreparedCall | None

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        encode: Encode,
        prompter: Prompter,
        picture: Image.Image,
        sentence: str,
        settings: PruningSettings | None,
    ) -> "VlmCall":
        """Encode the picture, choose and shorten.

        Raises:
            ValueError: If the method cannot choose.
        """
        encoded = encode(picture)
        prepared = choose(encoded, prompter, sentence, settings)
        return cls(encode, prompter, picture, sentence, settings, encoded, prepared)

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
        prompt = self.prompter.prompt(self.sentence, self.encoded.view.n_tokens)
        return len(prompt.ids) - prompt.n_tokens

    @property
    def cache_width(self) -> int:
        """Width of all key heads."""
        return self._widths[1]

    @property
    def _widths(self) -> tuple[int, int]:
        """Widths of all query heads and of all key heads."""
        config = self.encoded.network.config.get_text_config()
        heads = int(config.num_attention_heads)
        each = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
        return heads * each, int(config.num_key_value_heads or heads) * each

    def prefill(self) -> None:
        """The language model over the prompt, without its head."""
        self._run(self.encoded, self.prepared)

    @torch.no_grad()
    def decode(self, stop: Callable[[int], bool], n_tokens: int) -> None:
        """Generate an answer of fixed length greedily, the image encoded again."""
        network = self.encoded.network
        ids = (
            self.prompter.prompt(self.sentence, self.encoded.view.n_tokens)
            .ids[None]
            .to(network.device)
        )
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
        seconds: dict[str, float] = {}
        with stage(seconds, "image_tower"):
            encoded = self.encode(self.picture)
        with stage(seconds, "selection"):
            prepared = choose(encoded, self.prompter, self.sentence, self.settings)
        with stage(seconds, LANGUAGE_MODEL):
            states = self._run(encoded, prepared)
            self.encoded.network.get_output_embeddings()(states[:, -1:])
        return seconds

    def macs(self) -> Mapping[str, int]:
        """Of the language model; what the image tower needs is counted only."""
        config = self.encoded.network.config.get_text_config()
        width, inner = int(config.hidden_size), int(config.intermediate_size)
        other = self.n_other
        layers = [
            decoder_macs(count + other, width, inner, *self._widths) for count in self.layer_counts
        ]
        return {LANGUAGE_MODEL: sum(layers)}

    def parts(self) -> Mapping[str, Callable[[], object]]:
        """Image tower with projector, and choice."""
        found: dict[str, Callable[[], object]] = {"image_tower": lambda: self.encode(self.picture)}
        if self.settings is not None:
            found["selection"] = lambda: choose(
                self.encoded, self.prompter, self.sentence, self.settings
            )
        return found

    @torch.no_grad()
    def _run(
        self, encoded: EncodedPicture, prepared: PreparedCall | None
    ) -> Float[Tensor, "1 s d"]:
        network, settings = encoded.network, self.settings
        # Without the language head, which published costs leave out too.
        body = network.get_submodule("model")
        if settings is None or prepared is None:
            ids = self.prompter.prompt(self.sentence, encoded.view.n_tokens).ids.to(network.device)
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


def choose(
    encoded: EncodedPicture, prompter: Prompter, sentence: str, settings: PruningSettings | None
) -> PreparedCall | None:
    """The shortened prompt of a question; None for the unpruned model."""
    if settings is None:
        return None
    sources = encoded.sources(prompter.prompt(sentence, encoded.view.n_tokens), settings.clip)
    return pruned_call(settings, sources, {})


@contextmanager
def stage(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Time a block by the wall clock, once the device is done."""
    start = perf_counter()
    yield
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    seconds[name] = perf_counter() - start
