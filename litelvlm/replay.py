"""Calls of a module that are recorded when their shapes repeat, and then run without Python.

A CUDA graph is a list of kernels with fixed addresses. A replay therefore reads its inputs where
they lay during the recording, and writes its outputs where they lay then. It calls no hook, and it
knows nothing of what Python would do differently now. Whatever it would miss is run as written.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

Tensors = tuple[Tensor, ...]
MOST_SHAPES = 32
"""Shapes of one module that are remembered; recordings hold memory."""


@runtime_checkable
class Recorder(Protocol):
    """Records the kernels of calls on one kind of device.

    Attributes:
        device_type: The kind of device, such as "cuda".
    """

    device_type: str

    def is_free(self, device: torch.device) -> bool:
        """Whether recordings may be made, and replayed, on the current stream of a device."""

    def record(
        self, call: Callable[[], Tensors], device: torch.device
    ) -> tuple[Tensors, Callable[[], None]]:
        """Record a call that reads and writes the same memory each time.

        Args:
            call: Takes nothing; what it reads stays where it is.
            device: Where it computes.

        Returns:
            Its outputs, whose numbers mean nothing yet, and a function that computes them in place.

        Raises:
            RuntimeError: If the call cannot be recorded.
        """


@dataclass(frozen=True)
class Recording:
    """A recorded call for inputs of one shape.

    Attributes:
        inputs: Memory that a replay reads.
        outputs: Memory that a replay writes.
        replay: Runs the recorded kernels.
    """

    inputs: Tensors
    outputs: Tensors
    replay: Callable[[], None]

    def __call__(self, inputs: Tensors) -> Tensors:
        """Outputs for other inputs, in memory of their own: the next replay overwrites ours."""
        for kept, given in zip(self.inputs, inputs, strict=True):
            kept.copy_(given)
        self.replay()
        return tuple(output.clone() for output in self.outputs)


class Recordings:
    """Recorded calls of one module, one for each shape of the inputs.

    A shape is recorded when it comes a second time. The least recently used shape is forgotten,
    with its recording, when there are too many; shapes that rarely come back are thus not recorded.

    Args:
        recorder: What records.
        most: Shapes to remember.

    Attributes:
        n_recorded: Recordings made so far.
        n_replayed: Calls that were answered by a recording.
        n_plain: Calls that ran as written.
    """

    def __init__(self, recorder: Recorder, most: int = MOST_SHAPES) -> None:
        self.recorder, self.most = recorder, most
        self.n_recorded = self.n_replayed = self.n_plain = 0
        self._shapes: OrderedDict[Hashable, Recording | None] = OrderedDict()
        self._rests_on: tuple[object, ...] | None = None
        self._lock = Lock()  # two threads would overwrite each other's inputs

    def __len__(self) -> int:
        """Recordings that are held now."""
        return sum(recording is not None for recording in self._shapes.values())

    def run(
        self, module: nn.Module, call: Callable[[Tensors], Tensors], inputs: Tensors
    ) -> Tensors:
        """Outputs of a call, by a recording where one says the same.

        Args:
            module: What the call runs. All weights that it reads belong to it.
            call: Computes outputs from tensors alone, always in the same way.
            inputs: Of the call.

        Raises:
            RuntimeError: If the call cannot be recorded.
        """
        rests_on = None if runs_as_written(self.recorder, inputs) else foundation(module)
        if rests_on is not None:
            with self._lock:
                if rests_on != self._rests_on:
                    self._shapes.clear()
                    self._rests_on = rests_on
                recording = self._find(module, call, inputs)
                if recording is not None:
                    self.n_replayed += 1
                    return recording(inputs)
        self.n_plain += 1
        return call(inputs)

    def _find(
        self, module: nn.Module, call: Callable[[Tensors], Tensors], inputs: Tensors
    ) -> Recording | None:
        """The recording of a shape, made now if the shape has come before."""
        key = (number_settings(), *(layout(value) for value in inputs))
        if key not in self._shapes:
            self._shapes[key] = None
            if len(self._shapes) > self.most:
                self._shapes.popitem(last=False)
            return None
        self._shapes.move_to_end(key)
        recording = self._shapes[key]
        if recording is None:
            recording = self._shapes[key] = self._record(module, call, inputs)
            self.n_recorded += 1
        return recording

    def _record(
        self, module: nn.Module, call: Callable[[Tensors], Tensors], inputs: Tensors
    ) -> Recording:
        # Memory made in inference mode cannot be written outside of it.
        with torch.inference_mode(False), torch.no_grad():
            kept = tuple(value.clone() for value in inputs)
            try:
                outputs, replay = self.recorder.record(lambda: call(kept), kept[0].device)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                raise RuntimeError(
                    f"the kernels of {type(module).__name__} cannot be recorded ({error}); load "
                    "the model without compile='cuda_graphs'"
                ) from error
        return Recording(kept, outputs, replay)


_RECORDED: WeakKeyDictionary[nn.Module, Recordings] = WeakKeyDictionary()


def record_calls(module: nn.Module, recorder: Recorder, most: int = MOST_SHAPES) -> Recordings:
    """Let calls of a module be recorded wherever they go through ``replayed``.

    A copy of the module (``deepcopy``, pickle) is not recorded.
    """
    _RECORDED[module] = Recordings(recorder, most)
    return _RECORDED[module]


def recordings_of(module: nn.Module) -> Recordings | None:
    """Recorded calls of a module; None if its calls are not recorded."""
    return _RECORDED.get(module)


def replayed(module: nn.Module, call: Callable[[Tensors], Tensors], inputs: Tensors) -> Tensors:
    """Run a call of a module, by a recording if its calls are recorded.

    Args:
        module: What the call runs. All weights that it reads belong to it.
        call: Computes outputs from tensors alone, always in the same way.
        inputs: Of the call.
    """
    recordings = _RECORDED.get(module)
    return call(inputs) if recordings is None else recordings.run(module, call, inputs)


def runs_as_written(recorder: Recorder, inputs: Tensors) -> bool:
    """Whether something outside the module makes a replay wrong.

    That is: gradients or operators are recorded, a hook waits for every module, numbers are cast on
    the way, an input lies elsewhere or is no plain tensor, or another stream is in use.
    """
    device = inputs[0].device
    return (
        torch.is_grad_enabled()
        or bool(_has_any_global_hook())
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
        or torch.is_autocast_enabled(recorder.device_type)
        or device.type != recorder.device_type
        or any(type(value) is not Tensor or value.device != device for value in inputs)
        or not recorder.is_free(device)
    )


def foundation(module: nn.Module) -> tuple[object, ...] | None:
    """What recordings of a module rest on: where its weights lie, and which classes compute.

    Weights that change in place stay where they are, so recordings see the change.

    Returns:
        Equal values for equal foundations; None if the module must run as written, as a part of it
        has hooks of its forward or another forward, or is in training mode.
    """
    found: list[object] = [attention_kernel(module)]
    waiting = [module]
    while waiting:
        part = waiting.pop()
        if (
            part.training
            or part._forward_hooks
            or part._forward_pre_hooks
            or "forward" in part.__dict__
        ):
            return None
        found.append(type(part))
        for weight in (*part._parameters.values(), *part._buffers.values()):
            if weight is not None:
                found += (weight.data_ptr(), weight.dtype, weight.shape)
        waiting += (child for child in part._modules.values() if child is not None)
    return tuple(found)


def layout(value: Tensor) -> tuple[Hashable, ...]:
    """What kernels depend on besides an input's numbers."""
    return value.shape, value.stride(), value.dtype, value.device


def attention_kernel(module: nn.Module) -> str | None:
    """Attention kernel that a model of transformers is set to; None for other modules."""
    config = module.__dict__.get("config")
    return None if config is None else str(config._attn_implementation)


def number_settings() -> tuple[Hashable, ...]:
    """Settings of torch that choose kernels."""
    cuda = torch.backends.cuda
    return (
        torch._C._get_fp32_precision_getter("cuda", "matmul"),
        torch._C._get_fp32_precision_getter("cuda", "conv"),
        torch.are_deterministic_algorithms_enabled(),
        cuda.flash_sdp_enabled(),
        cuda.mem_efficient_sdp_enabled(),
        cuda.cudnn_sdp_enabled(),
        cuda.math_sdp_enabled(),
    )
