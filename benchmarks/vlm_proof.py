"""What every family must show: four differences between a pruned tiny model and its reference."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from litelvlm.models.vlm.door import PrunedVlm, prune
from litelvlm.models.vlm.network import encode, family_of
from litelvlm.models.vlm.preparing import PreparedCall
from litelvlm.models.vlm.shorten import full_positions, without_single_axis
from litelvlm.pruning import Pruner, get_pruner
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm
from tests.tiny_vlms.table import TINY

NEW_TOKENS = 3
SHARE = 0.4
"""Share of the visual tokens that is kept."""
ALL = 1 - 1e-9
"""A share that rounds to every token, whatever their number."""


@dataclass(frozen=True)
class Proof:
    """Largest absolute differences of logits.

    Attributes:
        handed_back: Every feature handed back, against the model alone.
        masked: Pruned with original positions, against the full prompt with dropped keys masked;
            at the text tokens.
        masked_double: The same in float64.
        generated: The same for each step of ``generate``.
        batched: A row of a padded batch, against the row alone.
        effect: The pruned model, against the unpruned one: how far a difference could be.
    """

    handed_back: float
    masked: float
    masked_double: float
    generated: float
    batched: float
    effect: float


def prove(name: str, video: bool = False) -> Proof:
    """Measure the four differences on the tiny model of a family.

    Args:
        name: A name in ``tests.tiny_vlms.table.TINY``.
        video: With a video instead of an image.
    """
    model, pruner = tiny_vlm(name), get_pruner("random", preset="gap")
    inputs = tiny_prompt(name, video=video)
    answer_type = TINY[name].types[1]
    with torch.no_grad():
        plain = logits_of(model, inputs)
        handed = logits_of(prune(model, "none", ALL), inputs)
        pruned = prune(model, pruner, SHARE)
        effect = logits_of(pruned, inputs)[0, -1] - plain[0, -1]
        found = [
            largest(handed - plain),
            masked_difference(model, pruner, inputs),
            0.0,
            generated_difference(model, pruner, inputs, answer_type),
            batched_difference(name, model, pruner, video),
            largest(effect),
        ]
        double = {key: v.double() if v.is_floating_point() else v for key, v in inputs.items()}
        found[2] = masked_difference(model.double(), pruner, double)
    return Proof(*found)


def largest(difference: Tensor) -> float:
    """The largest absolute number."""
    return float(difference.abs().max())


def masked_difference(model: PreTrainedModel, pruner: Pruner, inputs: dict[str, Tensor]) -> float:
    """Largest difference to the full prompt with dropped keys masked, at the text tokens."""
    pruned = prune(model, pruner, SHARE)
    short = logits_of(pruned, inputs)
    call = last_call(pruned)
    columns = call.prompt.columns[0]
    text = ~torch.isin(columns, torch.cat([s.item.columns for s in call.slots]))
    reference = masked_logits(model, inputs, call, inputs["input_ids"])
    return largest(short[0, text] - reference[0, columns[text]])


def logits_of(model: PreTrainedModel | PrunedVlm, inputs: dict[str, Tensor]) -> Tensor:
    """Logits [b, s, vocabulary] of one forward pass."""
    found: Tensor = model.forward(**inputs)["logits"]
    return found


def last_call(pruned: PrunedVlm) -> PreparedCall:
    """What the last call kept.

    Raises:
        ValueError: If there was none.
    """
    if pruned.last is None:
        raise ValueError("no call with images was made yet")
    return pruned.last


def masked_logits(
    model: PreTrainedModel,
    inputs: dict[str, Tensor],
    call: PreparedCall,
    ids: Tensor,
    answer_type: int = 0,
) -> Float[Tensor, "1 s v"]:
    """Logits of the full model under a mask that hides the tokens which a pruned call dropped.

    Args:
        model: The model, not pruned.
        inputs: A prompt of one row.
        call: The pruned call.
        ids: The prompt, and answer tokens behind it.
        answer_type: Their token type.
    """
    length, new = inputs["input_ids"].shape[1], ids.shape[1] - inputs["input_ids"].shape[1]
    mask = torch.zeros_like(inputs["attention_mask"])
    mask[0, call.prompt.columns[0]] = 1
    positions = full_positions(model, inputs, inputs["attention_mask"])
    behind = positions[..., -1:] + 1 + torch.arange(new)
    positions = torch.cat([positions, behind], dim=-1) + family_of(model).first_position
    extended = {
        key: torch.cat([value, value.new_full((1, new), answer_type)], dim=1)
        for key, value in inputs.items()
        if key.endswith("token_type_ids") and value.shape == (1, length)
    }
    mask = torch.cat([mask, mask.new_ones(1, new)], dim=1)
    given = {**inputs, **extended, "input_ids": ids, "attention_mask": mask}
    return logits_of(model, {**given, "position_ids": without_single_axis(positions)})


def generated_difference(
    model: PreTrainedModel, pruner: Pruner, inputs: dict[str, Tensor], answer_type: int
) -> float:
    """Largest difference of the logits at each step of a greedy answer."""
    pruned = prune(model, pruner, SHARE)
    ids, logits = answer(pruned, inputs)
    reference = masked_logits(model, inputs, last_call(pruned), ids, answer_type)
    steps = reference[0, -NEW_TOKENS - 1 : -1]
    return largest(logits[0] - steps)


def answer(pruned: PrunedVlm, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Ids [b, s] with prompts, and logits [b, steps, vocabulary], of a greedy answer."""
    out = pruned.generate(
        **inputs,
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
    )
    if isinstance(out, Tensor):
        raise ValueError("generate must return its logits too")
    return out["sequences"], torch.stack(list(out["logits"]), dim=1)


def batched_difference(name: str, model: PreTrainedModel, pruner: Pruner, video: bool) -> float:
    """Largest difference between two rows of a padded batch and each row alone."""
    inputs = tiny_prompt(name, (1, 1), (4, 9), video)
    _, rest = encode(model, inputs)
    pruned = prune(model, pruner, SHARE)
    _, together = answer(pruned, inputs)
    found = []
    for row in range(2):
        _, alone = answer(pruned, row_alone(inputs, rest, row))
        found.append(largest(together[row] - alone[0]))
    return max(found)


def row_alone(inputs: dict[str, Tensor], rest: dict[str, object], row: int) -> dict[str, Tensor]:
    """One of two rows of a batch without its padding, and its half of the images."""
    real = inputs["attention_mask"][row].bool()
    alone = {}
    for key, value in inputs.items():
        if key in rest:
            alone[key] = value[row : row + 1, real]
        else:
            half = len(value) // 2
            alone[key] = value[row * half : (row + 1) * half]
    return alone
