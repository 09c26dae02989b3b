"""What a tiny model of a family is: how to build it, and what one or several images give it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

ConfigT = TypeVar("ConfigT", bound=PreTrainedConfig)
VOCABULARY = 100
PAD, IMAGE, VIDEO = 0, 90, 91
"""Token ids: padding, the placeholder of an image, that of a video. Words are 3 to 89."""

TEXT: Mapping[str, object] = MappingProxyType(
    {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 512,
        "pad_token_id": PAD,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": False,
    }
)
"""Sizes of every tiny language model."""


@dataclass(frozen=True)
class VisualInputs:
    """What a processor would make of some images or videos.

    Attributes:
        tensors: Arguments of the model's ``forward``.
        tokens: Placeholders of each image or video, in order.
        run: Placeholders of each that stand side by side, with words between such runs; 0 for all.
    """

    tensors: Mapping[str, Tensor]
    tokens: tuple[int, ...]
    run: int = 0


MakeInputs = Callable[[Sequence[int], torch.Generator], VisualInputs]
"""Images of each row of a batch (a count per row), drawn from a generator."""


@dataclass(frozen=True)
class TinyFamily:
    """How to build a tiny model of a family.

    Attributes:
        config: Its configuration.
        model: Its class.
        images: Random images.
        videos: Random videos; None for families without.
        type_ids: Name of the argument that marks visual tokens among text; empty for none.
        types: Values of that argument for an image and for an answer; text before it has 0, and a
            video one more than an image.
    """

    config: Callable[[], PreTrainedConfig]
    model: type[PreTrainedModel]
    images: MakeInputs
    videos: MakeInputs | None = None
    type_ids: str = ""
    types: tuple[int, int] = (1, 0)


def configure(cls: type[ConfigT], **options: object) -> ConfigT:
    """A configuration of one class; the sizes of tiny models are plain data."""
    found: ConfigT = cls.from_dict(options)
    return found


def random_weights(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Draw every weight anew, so that no layer is close to doing nothing.

    Libraries initialise with tiny weights, under which dropped tokens hardly change the output.

    Args:
        model: The model; its matrices get a spread of 1 / sqrt(inputs), the head of its language
            model a tenth of that, so that logits stay within about one.
        seed: Of the draw.
    """
    output = model.get_output_embeddings()
    head = None if output is None else output.weight
    generator = torch.Generator().manual_seed(seed)
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                scale = 0.5 if id(weight) in embeddings else weight[0].numel() ** -0.5
                scale *= 0.1 if weight is head else 1.0
                weight.normal_(0.0, scale, generator=generator)
            elif float(weight.abs().sum()) == 0:
                weight.normal_(0.0, 0.02, generator=generator)
    model.eval()
    return model


def normal(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Random pixels."""
    return torch.randn(tuple(shape), generator=generator)
