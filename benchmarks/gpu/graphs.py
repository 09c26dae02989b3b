"""A plain model and one with recorded parts, on the same weights; a recorder for dry runs.

Without a GPU, ``Traced`` takes the place of CUDA graphs, so that everything around them runs.
"""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import _disable_current_modes

from litelvlm import load_model
from litelvlm.models.glamm.graphs import record_parts, recorded_parts
from litelvlm.models.glamm.model import Glamm
from litelvlm.replay import Tensors, recordings_of


class Traced:
    """Records the operators of a call on a processor, by torch's tracer.

    As with a CUDA graph, a replay runs no Python of the model and no hook, shows its operators to
    no mode, reads weights where they lay, and overwrites the outputs of the replay before. Outputs
    hold NaN until the first replay, as a capture computes nothing.
    """

    device_type = "cpu"

    def is_free(self, device: torch.device) -> bool:
        """Always: a processor has no streams."""
        return True

    def record(
        self, call: Callable[[], Tensors], device: torch.device
    ) -> tuple[Tensors, Callable[[], None]]:
        """Trace a call (see ``Recorder``)."""
        graph = make_fx(call)()
        outputs = tuple(torch.full_like(made, float("nan")) for made in graph.forward())

        def replay() -> None:
            with _disable_current_modes():
                for kept, made in zip(outputs, graph.forward(), strict=True):
                    kept.copy_(made)

        return outputs, replay


def pair(
    name: str, device: str, dtype: str | None = None, random_init: bool = False
) -> tuple[Glamm, Glamm]:
    """A plain model and a recorded one that share their weights.

    Args:
        name: As in ``load_model``.
        device: "cuda" for CUDA graphs, "cpu" for a dry run.
        dtype: As in ``load_model``.
        random_init: Likewise.
    """
    backend = "cuda_graphs" if device == "cuda" else None
    graphed = load_model(name, dtype, device, random_init=random_init, compile=backend)
    if backend is None:
        record_parts(graphed, Traced())
    held = [*graphed.parameters(), *graphed.buffers()]
    return deepcopy(graphed, {id(tensor): tensor for tensor in held}), graphed  # copies are plain


def counts(model: Glamm) -> dict[str, dict[str, int]]:
    """By part: recordings made and held, calls answered by one, and calls that ran as written."""
    found = {}
    for stage, part in recorded_parts(model).items():
        own = recordings_of(part)
        if own is not None:
            found[stage] = {
                "recorded": own.n_recorded,
                "held": len(own),
                "replayed": own.n_replayed,
                "plain": own.n_plain,
            }
    return found


def never_replayed(model: Glamm) -> list[str]:
    """Parts whose recordings answered no call."""
    found = counts(model)
    return [stage for stage in recorded_parts(model) if not found.get(stage, {}).get("replayed")]
