"""Greedy decoding that a checkpoint's own generation settings do not change."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import GenerationConfig, PreTrainedModel

KEPT = ("bos_token_id", "decoder_start_token_id", "eos_token_id", "pad_token_id")
"""Settings that say what tokens mean, not how to choose them."""


@contextmanager
def greedy_decoding(network: PreTrainedModel) -> Iterator[None]:
    """Let ``generate`` take the likeliest token at each step, whatever the checkpoint stores.

    Published checkpoints store penalties on repetition, beams and suppressed tokens in
    ``generation_config.json``, and ``do_sample=False`` leaves those on.

    Args:
        network: Its own settings come back when the block ends.
    """
    stored = network.generation_config
    kept = {name: getattr(stored, name, None) for name in KEPT}
    network.generation_config = GenerationConfig(**kept, do_sample=False)
    try:
        yield
    finally:
        network.generation_config = stored
