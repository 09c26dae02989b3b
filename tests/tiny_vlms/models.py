"""The tiny model of a family with random weights, and prompts for it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from litelvlm.names import check_name
from tests.tiny_vlms.table import IMAGE, PAD, TINY


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
    return model.eval()


def tiny_vlm(name: str) -> PreTrainedModel:
    """Build the tiny model of a family with random weights, in float32 on the processor.

    Raises:
        ValueError: If there is no such family.
    """
    family = TINY[check_name(name, TINY, "family")]
    torch.manual_seed(0)
    model = random_weights(family.build(), seed=0)
    # The library's fast experts take no float64.
    model.set_experts_implementation("eager")
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = PAD
    return model


def tiny_prompt(
    name: str,
    counts: Sequence[int] = (1,),
    words: Sequence[int] = (6,),
    video: bool = False,
) -> dict[str, Tensor]:
    """Make what a processor would: ids, masks and pixels of a batch, padded on the left.

    Each row is: some words, its images with a word between two, then a question.

    Args:
        name: A name in ``TINY``.
        counts: Images (or videos) of each row.
        words: Words of each row's question.
        video: Videos instead of images.

    Raises:
        ValueError: If there is no such family, or it has no videos.
    """
    family = TINY[check_name(name, TINY, "family")]
    generator = torch.Generator().manual_seed(1)
    make = family.videos if video else family.images
    if make is None:
        raise ValueError(f"{name} has no tiny videos; leave out video=True")
    visual = make(counts, generator)
    token, lengths = (family.video_token if video else IMAGE), iter(visual.tokens)
    rows = []
    for count, n_words in zip(counts, words, strict=True):
        ids = [1, 3, 4]
        for _ in range(count):
            tokens = next(lengths)
            run = visual.run or tokens
            for _ in range(tokens // run):
                ids += [5, *[token] * run]
        rows.append(ids + torch.randint(6, 90, (n_words,), generator=generator).tolist())
    longest = max(map(len, rows))
    input_ids = torch.tensor([[PAD] * (longest - len(ids)) + ids for ids in rows])
    mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in rows])
    given = {"input_ids": input_ids, "attention_mask": mask, **visual.tensors}
    if family.type_ids:
        given[family.type_ids] = (input_ids == token).long() * (family.types[0] + video)
    return given
