"""Models of transformers with each weight as its files have it: none drawn, none lost."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TypeVar, cast

from safetensors import SafetensorError
from torch import nn
from transformers.utils import logging as transformers_logging

from litelvlm.data.safe.adapters import refuse_adapter, refuse_unmerged
from litelvlm.data.safe.archives import check_archives
from litelvlm.finite import require_finite_weights

logger = logging.getLogger(__name__)
Model = TypeVar("Model", bound=nn.Module)
Load = Callable[..., Model]  # type: ignore[explicit-any]


def whole_model(
    load: Load[Model], folder: Path, what: str, *, strict: bool = True, **options: object
) -> Model:
    """Read a model from safetensors or a tensor-only .bin.

    transformers would draw a missing weight at random, leave out an unknown one, and say so in the
    log alone.

    Args:
        load: ``from_pretrained`` of the model's class.
        folder: Its files.
        what: What it is, for messages.
        strict: Refuse weights without a place too. Else only those of a LoRA are refused: some
            published checkpoints hold parts that transformers does not build.
        options: Of ``load``.

    Raises:
        ValueError: If a file is damaged or does not fit its ``config.json``, a weight is missing,
            unknown, NaN or infinite, or there is an adapter that is not merged.
        FileNotFoundError: If there are no weights.
    """
    check_archives(folder)
    refuse_adapter(folder)
    told = {"weights_only": True, "local_files_only": True, "output_loading_info": True}
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # it would list every weight; what matters is below
    try:
        found: object = load(folder, **told, **options)
    except OSError as error:
        hint = "; `litelvlm convert` makes safetensors of .bin" if any(folder.glob("*.bin")) else ""
        raise FileNotFoundError(
            f"{folder} does not contain {what}'s weights: {error}{hint}"
        ) from error
    except (SafetensorError, RuntimeError, UnpicklingError, EOFError) as error:
        raise ValueError(
            f"the {what} in {folder} is truncated, damaged, or does not fit its config.json "
            f"({error}); fetch it again"
        ) from error
    finally:
        transformers_logging.set_verbosity(before)
    model, report = cast(tuple[Model, Mapping[str, list[str]]], found)
    refuse_unmerged(sorted(report["unexpected_keys"]), folder)
    absent = sorted(report["missing_keys"])
    if absent:
        raise ValueError(
            f"the {what} in {folder} lacks {len(absent)} weights, first {absent[0]}; fetch it again"
        )
    # Files of older libraries also store the numbers 0, 1, 2 ... of the positions.
    unknown = sorted(
        name for name in report["unexpected_keys"] if not name.endswith(".position_ids")
    )
    lost = f"{len(unknown)} weights without a place in its config.json"
    if strict and unknown:
        raise ValueError(f"the {what} in {folder} has {lost}, first {unknown[0]}; fetch both again")
    if unknown:
        logger.warning("the %s in %s has %s, first %s", what, folder, lost, unknown[0])
    return require_finite_weights(model, f"the {what} in {folder}")
