"""Text embeddings with one thing changed for [EOS]: a key hidden, or a value removed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.analysis.signals.text_attention import (
    SPLIT_WORDS,
    TRUNCATED,
    UnusableTextError,
    content_positions,
)
from litelvlm.arrays import Array
from litelvlm.clip.probes.text import Edit, TextTrace, edited_embeds
from litelvlm.clip.tower import Tower
from litelvlm.models.base import TowerModel

PLAIN = ("none", "none")


class WordTokens(NamedTuple):
    """Positions of the words of an expression in its sentence.

    Attributes:
        content: Positions of all its tokens.
        spans: Positions of each word.
    """

    content: Int[Array, "_"]
    spans: tuple[Int[Array, "_"], ...]


def layer_sets(n_layers: int) -> dict[str, range]:
    """Every layer, the last third of them, and each one alone.

    Example:
        >>> {name: list(layers) for name, layers in layer_sets(3).items()}
        {'all': [0, 1, 2], 'last third': [2], 'layer 0': [0], 'layer 1': [1], 'layer 2': [2]}
    """
    single = {f"layer {layer}": range(layer, layer + 1) for layer in range(n_layers)}
    return {
        "all": range(n_layers),
        "last third": range(n_layers - max(1, n_layers // 3), n_layers),
    } | single


class Readable(NamedTuple):
    """Those of several expressions whose words are found in their questions.

    Attributes:
        kept: Their places.
        questions: About them.
        words: Of them.
        unread: Why each other one was left out.
    """

    kept: tuple[int, ...]
    questions: list[str]
    words: list[WordTokens]
    unread: tuple[str, ...]


def readable(model: TowerModel, sents: Sequence[str], question_index: int) -> Readable:
    """Find the words of expressions in the questions about them."""
    found = Readable((), [], [], ())
    if not sents:
        return found
    tower, bare = model.tower, [sent.strip().lower() for sent in sents]
    questions = [model.question(text, question_index) for text in bare]
    (ids, mask, cut), (inner, inner_mask, _) = tower.tokenize(questions), tower.tokenize(bare)
    for place, (text, question) in enumerate(zip(bare, questions, strict=True)):
        sentence = ids[place, : int(mask[place].sum())].tolist()
        expression = inner[place, 1 : int(inner_mask[place].sum()) - 1].tolist()
        try:
            if cut[place]:
                raise UnusableTextError(TRUNCATED)
            content = content_positions(sentence, expression)
            words = WordTokens(content, _spans(tower, text, content))
        except UnusableTextError as reason:
            found = found._replace(unread=(*found.unread, str(reason)))
            continue
        found = Readable(
            (*found.kept, place), [*found.questions, question], [*found.words, words], found.unread
        )
    return found


def _spans(tower: Tower, expression: str, content: Int[Array, "_"]) -> tuple[Int[Array, "_"], ...]:
    """Positions of each word; a word's tokens are those that it has when read alone."""
    lengths = (tower.tokenize(expression.split())[1].sum(1) - 2).cpu().numpy()
    if lengths.sum() != len(content):
        raise UnusableTextError(SPLIT_WORDS)
    return tuple(span for span in np.split(content, np.cumsum(lengths)[:-1]) if len(span))


@torch.inference_mode()
def edited(
    trace: TextTrace, words: Sequence[WordTokens], seeds: Sequence[Sequence[int]]
) -> dict[tuple[str, str], Float[Tensor, "t p"]]:
    """Embeddings of all sentences under every intervention and layer set; float32, on the CPU.

    The plain ones come first.

    Args:
        trace: Of the sentences.
        words: Of each sentence.
        seeds: Of each sentence, for the content token that is hidden.
    """
    sos = torch.zeros_like(trace.beyond)
    sos[:, 0] = True
    drawn = torch.zeros_like(sos)
    for number, (own, seed) in enumerate(zip(words, seeds, strict=True)):
        drawn[number, int(np.random.default_rng(seed).choice(own.content))] = True
    edits = {
        "mask_sos": Edit(masked=sos),
        "zero_sos_value": Edit(silenced=sos),
        "mean_sos_value": Edit(mean_sos=True),
        "mask_content": Edit(masked=drawn),
        "zero_content_value": Edit(silenced=drawn),
    }
    found = {PLAIN: trace.text.text_embeds.float().cpu()}
    for place, layers in layer_sets(len(trace.inputs)).items():
        for name, edit in edits.items():
            found[name, place] = edited_embeds(trace, edit, layers).float().cpu()
    return found


@torch.inference_mode()
def without_each_word(trace: TextTrace, words: Sequence[WordTokens]) -> list[Float[Tensor, "w p"]]:
    """Per sentence, its embeddings with each of its words hidden from [EOS] in all layers."""
    by_sentence: list[list[Tensor]] = [[] for _ in words]
    for place in range(max(len(own.spans) for own in words)):
        masked = torch.zeros_like(trace.beyond)
        for number, own in enumerate(words):
            if place < len(own.spans):
                masked[number, torch.from_numpy(own.spans[place]).to(masked.device)] = True
        embeds = edited_embeds(trace, Edit(masked=masked), range(len(trace.inputs))).float().cpu()
        for number, own in enumerate(words):
            if place < len(own.spans):
                by_sentence[number].append(embeds[number])
    return [torch.stack(embeds) for embeds in by_sentence]
