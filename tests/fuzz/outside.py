"""What strangers hand over: a method's choice, a hub's answers, a file of hypotheses, a part."""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from unittest import mock

import huggingface_hub
import pyarrow as pa
import torch
from huggingface_hub import constants, get_session
from hypothesis import strategies as st

from litelvlm.analysis.reproduce.assets import CHECKPOINT
from litelvlm.analysis.reproduce.listing import kept_listing
from litelvlm.analysis.runs.hypotheses import read_family
from litelvlm.analysis.runs.outcome import Counts
from litelvlm.analysis.runs.parts import UNREADABLE, PartMeta, read_part, write_part
from litelvlm.pruning import Cues, Pruner, ScorePruner
from litelvlm.pruning.selection import RawSelection
from tests.fuzz.files import on_disk
from tests.fuzz.tables import JSON, MOVES, check_refusal, mutated

N_TOKENS, BUDGET = 16, 5
TYPES = ("int64", "int32", "uint8", "bool", "float32", "float16", "float64", "complex64")
NUMBERS = st.lists(
    st.integers(-2, N_TOKENS) | st.sampled_from([0.5, 1e30, float("inf"), float("nan")]),
    max_size=N_TOKENS + 1,
)
TENSORS = st.tuples(NUMBERS, st.sampled_from(TYPES), st.sampled_from(["plain", "row", "list"]))
LINES = st.lists(st.integers(0, N_TOKENS - 1), min_size=BUDGET, max_size=BUDGET, unique=True).map(
    lambda numbers: (numbers, "int64", "plain")
)
METHODS = st.tuples(
    st.sampled_from(["scores", "indices"]), TENSORS | LINES, st.none() | TENSORS, st.booleans()
).map(list)


def made(plan: list) -> object:
    """The tensor, or list, that a plan describes."""
    numbers, kind, form = plan
    if form == "list":
        return numbers
    tensor = torch.tensor(numbers, dtype=torch.float64)
    tensor = tensor.nan_to_num(0, 9, -9).clamp(-9, 99) if kind in TYPES[:3] else tensor
    tensor = tensor.to(getattr(torch, kind))
    return tensor[None] if form == "row" else tensor


@dataclass(frozen=True, kw_only=True)
class Chosen(Pruner):
    """Returns what a case says, after it changed what it got."""

    name = title = summary = "fuzzed"
    needs = frozenset({"cls_attention"})
    case: tuple[object, ...] = ()

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """The indices, and perhaps their places."""
        _, indices, places, spoils = self.case
        if spoils:
            cues.cls_attention.fill_(7)
        return RawSelection(made(indices), places=places and made(places))


@dataclass(frozen=True, kw_only=True)
class Scored(ScorePruner):
    """The same for scores."""

    name = title = summary = "fuzzed"
    needs = frozenset({"cls_attention"})
    case: tuple[object, ...] = ()

    def score(self, cues: Cues) -> torch.Tensor:
        """The scores."""
        if self.case[3]:
            cues.get("cls_attention").neg_()
        return made(self.case[1])


def check_method(case: list) -> str:
    """Whatever a method returns is a choice of so many tokens or one refusal; cues stay."""
    method = object.__new__(Scored if case[0] == "scores" else Chosen)
    values = {"case": tuple(case), "order": "native", "positions": "contiguous"}
    for name, value in values.items():
        object.__setattr__(method, name, value)
    cues = Cues.from_tensors(cls_attention=torch.arange(float(N_TOKENS)))

    def select(_: object) -> None:
        found = method.select(cues, BUDGET)
        assert len(set(found.indices.tolist())) == len(found) == BUDGET
        assert set(found.indices.tolist()) <= set(range(N_TOKENS))

    outcome = check_refusal(ValueError, select, None, most=1_500)
    assert cues.cls_attention.tolist() == list(range(N_TOKENS))
    return outcome


ENTRY = {"type": "file", "path": "config.json", "oid": "b" * 40, "size": 3}
ENTRIES = st.dictionaries(st.sampled_from([*ENTRY, "lfs", "x"]), JSON, max_size=3).map(
    lambda changes: [ENTRY | changes]
)
INFO = {"id": "a/b", "sha": "a" * 40}
INFOS = st.dictionaries(
    st.sampled_from([*INFO, "cardData", "siblings", "lastModified", "tags"]), JSON, max_size=2
).map(lambda changes: INFO | changes)
BYTES = st.binary(max_size=30).map(bytes.hex)
PLAIN = (JSON | INFOS).map(lambda value: json.dumps(value).encode().hex())
LISTS = (JSON | ENTRIES).map(lambda value: json.dumps(value).encode().hex())
ANSWERS = st.tuples(
    st.just(json.dumps(INFO).encode().hex()) | PLAIN | BYTES,
    LISTS | BYTES,
    st.sampled_from([200, 200, 200, 404, 500]),
).map(list)


@contextmanager
def answering(info: bytes, tree: bytes, status: int) -> Iterator[None]:
    """The hub's client gets these answers, without a network."""
    library = sys.modules[type(get_session()).__module__.partition(".")[0]]

    def answer(request: object) -> object:
        return library.Response(status, content=tree if "/tree/" in request.url.path else info)

    client = library.Client(transport=library.MockTransport(answer))
    api = sys.modules[huggingface_hub.HfApi.__module__]
    http = sys.modules["huggingface_hub.utils._http"]
    with (
        client,
        mock.patch.object(api, "get_session", return_value=client),
        mock.patch.object(http, "get_session", return_value=client),
        mock.patch.object(http.time, "sleep"),
        mock.patch.object(constants, "HF_HUB_OFFLINE", False),
    ):
        yield


def check_hub(case: list) -> str:
    """Any answers are a listing, or one refusal that names the hub or the repository."""
    info, tree, status = case
    with tempfile.TemporaryDirectory() as folder:
        ask = partial(kept_listing, Path(folder, "hub.json"), [CHECKPOINT])
        try:
            with answering(bytes.fromhex(info), bytes.fromhex(tree), status):
                ask([])
        except (ConnectionError, FileNotFoundError) as error:
            assert CHECKPOINT.names[0] in str(error)
            assert len(str(error)) < 800
            return "refused"
    return "read"


FAMILY = """family: one
hypotheses:
  - id: a
    statement: A claim.
    study: reversal
    measure: ri
    where: {probe: released, layer: -2}
    groups:
      small: {area_frac: {max: 0.02}}
      large: {area_frac: {min: 0.1}}
    null: 0.0
    margin: 0.05
"""
HYPOTHESES = (
    st.builds(lambda moves: mutated(FAMILY.encode(), moves).hex(), MOVES)
    | st.builds(
        lambda old, new: FAMILY.replace(old, new, 1).encode("utf-8", "replace").hex(),
        st.sampled_from([line.strip() for line in FAMILY.splitlines()] + ["0.05", "0.02", "ri"]),
        st.text(max_size=12)
        | st.sampled_from(
            ["&a [*a]", "<<: {id: b}", "!!python/object:os.system x", "1e999", ".nan", "-.inf",
             "2026-02-30", "yes", "~", "--- \n---", "{[", "? a\n: b", "[" * 200, "9" * 5000,
             "1:2:3", "0x", "!!binary x", "!!set {a}", "!!timestamp x", "!!int x", "%YAML 9.9"]
        ),
    )
    | st.binary(max_size=60).map(bytes.hex)
)  # fmt: skip


def check_hypotheses(case: str) -> str:
    """Any bytes are a family or one refusal that names the file."""
    path = on_disk(bytes.fromhex(case), ".yaml")
    try:
        read_family(path)
    except ValueError as error:
        assert path.name in str(error)
        assert len(str(error)) < 3_000
        return "refused"
    finally:
        path.unlink()
    return "read"


@cache
def part() -> bytes:
    """A small part of a run."""
    path = Path(tempfile.mkdtemp(prefix="litelvlm-fuzz-")) / "part.parquet"
    rows = [{"sent_id": number, "method": "none", "iou": number / 3} for number in range(4)]
    counts = Counts(expected=4, done=4)
    meta = PartMeta(key="k", part=0, of=1, rows=4, counts=counts, failures=(), notes=())
    write_part(path, rows, meta)
    return path.read_bytes()


PARTS = st.builds(lambda moves: mutated(part(), moves).hex(), MOVES)


def check_part(case: str) -> str:
    """Any bytes are the rows that were written, or an error after which they are computed again."""
    path = on_disk(bytes.fromhex(case), ".parquet")
    whole = on_disk(part(), "-whole.parquet")
    try:
        found = read_part(path).table
    except UNREADABLE:
        return "refused"
    finally:
        path.unlink()
    assert pa.Table.equals(found, read_part(whole).table)
    return "read"
