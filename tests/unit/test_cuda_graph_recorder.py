"""The order of calls around a capture, on stand-ins for torch's streams and graphs."""

import gc
import inspect
from contextlib import contextmanager, nullcontext

import pytest
import torch

from litelvlm.models.glamm.graphs import WARM_UP, CudaGraphs

PLACE = torch.device("cuda", 0)
CAPTURE = inspect.signature(torch.cuda.graph.__init__)


class Stream:
    def __init__(self, log, name):
        self.log, self.name = log, name

    def wait_stream(self, other):
        self.log.append(f"{self.name} waits for {other.name}")


class Graph:
    def __init__(self, log):
        self.log, self.shared = log, None

    def pool(self):
        return self.shared

    def replay(self):
        self.log.append("replay")


@pytest.fixture
def log(monkeypatch):
    """What happens, in order; the streams and graphs of torch only take notes."""
    found, pools = [], iter(range(100))

    @contextmanager
    def capture(*args, **kwargs):
        given = CAPTURE.bind(None, *args, **kwargs).arguments  # what the real one takes
        graph, pool = given["cuda_graph"], given["pool"]
        graph.shared = next(pools) if pool is None else pool
        found.append(f"capture on {given['stream'].name} in pool {graph.shared}")
        yield
        found.append("captured")

    current = Stream(found, "main")
    monkeypatch.setattr(torch.cuda, "device", lambda place: nullcontext())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "Stream", lambda place: Stream(found, f"side of {place}"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda place: current)
    monkeypatch.setattr(torch.cuda, "default_stream", lambda place: current)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: Graph(found))
    monkeypatch.setattr(torch.cuda, "graph", capture)
    return found


def recorded(recorder, log, place=PLACE):
    def call():
        log.append("call")
        return (torch.zeros(1),)

    log.clear()
    return recorder.record(call, place)


def test_a_call_is_warmed_up_and_captured_on_a_side_stream(log):
    (output,), replay = recorded(CudaGraphs(), log)
    assert log == [
        "side of cuda:0 waits for main",
        *["call"] * WARM_UP,
        "main waits for side of cuda:0",
        "capture on side of cuda:0 in pool 0",
        "call",
        "captured",
    ]
    log.clear()
    replay()
    assert log == ["replay"]
    assert output.shape == (1,)


def test_recordings_share_a_pool_while_one_of_them_lives(log):
    recorder = CudaGraphs()
    first, second = recorded(recorder, log), recorded(recorder, log)
    assert "capture on side of cuda:0 in pool 0" in log
    other = recorded(recorder, log, torch.device("cuda", 1))
    assert "capture on side of cuda:1 in pool 1" in log
    del first, second
    gc.collect()
    third = recorded(recorder, log)
    assert "capture on side of cuda:0 in pool 2" in log
    del third, other


def test_other_streams_are_not_used(log, monkeypatch):
    recorder = CudaGraphs()
    assert recorder.is_free(PLACE)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda place: Stream(log, "another"))
    assert not recorder.is_free(PLACE)
