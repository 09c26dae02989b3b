"""CUDA graphs of the parts of a GLaMM whose shapes repeat.

These are CLIP's image tower up to the input of its last block, SAM's image encoder, and the
language model where it reads whole prompts (given answers). An image has one shape. A prompt has
as many as there are budgets and lengths of text.
"""

from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

import torch
from torch import nn

from litelvlm.models.glamm.network import GlammNetwork
from litelvlm.replay import Recorder, Tensors, record_calls

CUDA_GRAPHS = "cuda_graphs"
WARM_UP = 3
"""Calls before a recording, in which libraries take the memory that they keep."""


class CudaGraphs:
    """Records calls as CUDA graphs that share their memory for what lies between.

    Recordings may share it, as they never run at the same time and their outputs stay allocated.
    """

    device_type = "cuda"

    def __init__(self) -> None:
        self._graphs: WeakKeyDictionary[torch.cuda.CUDAGraph, torch.device] = WeakKeyDictionary()
        self._streams: dict[torch.device, torch.cuda.Stream] = {}

    def is_free(self, device: torch.device) -> bool:
        """Whether the default stream is in use: on others recordings could run side by side."""
        return torch.cuda.current_stream(device) == torch.cuda.default_stream(device)

    def record(
        self, call: Callable[[], Tensors], device: torch.device
    ) -> tuple[Tensors, Callable[[], None]]:
        """Run a call on a side stream, then capture it there (see ``Recorder``)."""
        with torch.cuda.device(device):
            if device not in self._streams:
                self._streams[device] = torch.cuda.Stream(device)
            side, current = self._streams[device], torch.cuda.current_stream(device)
            side.wait_stream(current)
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    call()
            current.wait_stream(side)
            # A pool lives as long as one of its graphs.
            earlier = (graph for graph, place in self._graphs.items() if place == device)
            pool = next((graph.pool() for graph in earlier), None)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool, stream=side, capture_error_mode="thread_local"):
                outputs = call()
        self._graphs[graph] = device
        return outputs, graph.replay


def recorded_parts(model: GlammNetwork) -> Mapping[str, nn.Module]:
    """Modules whose calls are recorded, by the stage that they are timed under."""
    return {
        "clip_image": model.tower.clip.vision_model,
        "sam_encoder": model.sam.vision_encoder,
        "llm": model.llama.model,
    }


def record_parts(model: GlammNetwork, recorder: Recorder) -> None:
    """Let the repeated parts of a model be recorded, in place, each when a shape comes again.

    Args:
        model: The model.
        recorder: What records; ``CudaGraphs`` on a GPU.
    """
    for part in recorded_parts(model).values():
        record_calls(part, recorder)
    model.compiled = CUDA_GRAPHS
    model.rename(f" ({CUDA_GRAPHS})")
