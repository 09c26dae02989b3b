"""Methods from outside the package: what they change reaches nobody, what they return is checked.

A method is foreign by its module, so those of this file are.
"""

import os
import random
from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from layer_views import View
from pruner_cases import Blocks

from litelvlm.analysis.cli import main
from litelvlm.pruning import Cues, Pruner, ScorePruner, foreign, get_pruner, registry
from litelvlm.pruning.layers.base import DropResult, LayerPruner
from litelvlm.pruning.layers.state import DropState
from litelvlm.pruning.selection import RawSelection


class Stray(BaseException):
    """An error that is none of Python's usual ones, and cannot say what it is."""

    def __str__(self):
        raise TypeError("no words")


@dataclass(frozen=True, kw_only=True)
class Named:
    """What a method must say of itself."""

    name: ClassVar[str] = "mine"
    title: ClassVar[str] = "mine"
    summary: ClassVar[str] = "a method of this file"


def scoring(function) -> Pruner:
    """A method whose scores a function gives."""
    body = {
        "score": lambda self, cues: function(cues),
        "needs": frozenset({"cls_attention", "patch_tokens"}),
        "__module__": __name__,
    }
    return dataclass(frozen=True, kw_only=True)(type("Scored", (Named, ScorePruner), body))()


def choosing(function, **attributes) -> Pruner:
    """A method that returns what a function returns."""
    body = {"choose": lambda self, cues, budget: function(cues, budget), "__module__": __name__}
    made = type("Chosen", (Named, Pruner), body | attributes)
    return dataclass(frozen=True, kw_only=True)(made)()


def sixteen() -> Cues:
    ramp = torch.arange(16.0)
    return Cues.from_tensors(cls_attention=ramp, patch_tokens=ramp[:, None].repeat(1, 3))


def spoil_numpy(cues: Cues) -> torch.Tensor:
    cues.cls_attention.numpy()[:] = 0
    return torch.ones(16)


SPOILERS = {
    "get": lambda cues: cues.get("patch_tokens").mul_(0).sum(-1),
    "attribute": lambda cues: cues.cls_attention.zero_(),
    "float32": lambda cues: cues.float32("cls_attention").neg_(),
    "data": lambda cues: cues.patch_tokens.data.fill_(3).sum(-1),
    "numpy": spoil_numpy,
    "derived": lambda cues: cues.derived("x", lambda: cues.cls_attention).mul_(0),
}


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
@pytest.mark.parametrize("held", [False, True])
def test_a_cue_changed_in_place_changes_no_other_reader(spoil, held):
    cues, fresh = sixteen(), sixteen()
    cues.cls_attention.sum()
    method = scoring(spoil)
    if held:
        method = get_pruner("with_uniform", of=get_pruner("reverse", of=method))
    method.select(cues, 5)
    for name in ("cls_attention", "patch_tokens"):
        assert torch.equal(cues.get(name), fresh.get(name))
        assert torch.equal(cues.float32(name), fresh.float32(name))
    assert get_pruner("fastervlm").select(cues, 3).indices.tolist() == [13, 14, 15]


def test_the_tower_is_seen_without_its_states_and_weights():
    """A method inside the tower runs its blocks, and can change nothing that others run on."""
    tower, seen = Blocks(torch.ones(17, 3), added=1.0, grid=(4, 4)), []

    def choose(cues, budget):
        seen.append(cues.vit)
        cues.vit.embed().zero_()
        states, _ = cues.vit.attend(0, cues.vit.embed(), torch.zeros(17))
        cues.vit.feed(0, states).zero_()
        return RawSelection(torch.arange(budget))

    cues = Cues({}, (4, 4), vit=lambda: tower)
    choosing(choose, stage="vit").select(cues, 4)
    assert bool((tower.embeds == 1).all())
    assert cues.vit is tower
    assert set(vars(seen[0])) == {"_view", "n_blocks"}


class Lenient(RawSelection):
    """Finds nothing wrong with itself."""

    def problem(self, *_):
        return ""


WRONG = {
    "a list": (lambda cues, budget: [0, 1, 2], "returned [0, 1, 2], which is no RawSelection"),
    "nothing": (lambda cues, budget: None, "returned None"),
    "too few": (lambda cues, budget: RawSelection(torch.arange(3)), "returned 3 tokens where 5"),
    "none at all": (lambda cues, budget: RawSelection(torch.arange(0)), "returned 0 tokens"),
    "twice": (lambda cues, budget: RawSelection(torch.tensor([0, 1, 2, 3, 3])), "index twice"),
    "outside": (lambda cues, budget: RawSelection(torch.arange(12, 17)), "outside 0 to 15"),
    "negative": (lambda cues, budget: RawSelection(torch.arange(-1, 4)), "outside 0 to 15"),
    "real numbers": (lambda cues, budget: RawSelection(torch.arange(5.0)), "no line of whole"),
    "a matrix": (lambda cues, budget: RawSelection(torch.arange(5)[None]), "no line of whole"),
    "flags": (lambda cues, budget: RawSelection(torch.ones(16, dtype=torch.bool)), "no line of"),
    "roles": (lambda cues, budget: RawSelection(torch.arange(5), roles=("a",)), "lengths [5, 1]"),
    "tokens alone": (
        lambda cues, budget: RawSelection(torch.arange(5), tokens=torch.ones(5, 3)),
        "without the weights",
    ),
    "places of another length": (
        lambda cues, budget: RawSelection(torch.arange(5), places=torch.arange(0)),
        "lengths [0]",
    ),
    "places that are real": (
        lambda cues, budget: RawSelection(torch.arange(5), places=torch.arange(5.0)),
        "returned places that are no line",
    ),
    "places in a list": (
        lambda cues, budget: RawSelection(torch.arange(5), places=[0, 1, 2, 3, 4]),
        "returned places that are no line",
    ),
    "no numbers": (
        lambda cues, budget: RawSelection(torch.arange(5, device="meta")),
        "returned indices that are no line",
    ),
    "words": (
        lambda cues, budget: RawSelection(torch.arange(5), tokens="abcde", source="abcde"),
        "no tensor of real numbers",
    ),
    "weights of few tokens": (
        lambda cues, budget: RawSelection(
            torch.arange(5), tokens=torch.ones(5, 3), source=torch.ones(5, 4)
        ),
        "returned weights of 4 tokens where 16 are",
    ),
    "sizes below 0": (
        lambda cues, budget: RawSelection(torch.arange(5), sizes=-torch.ones(5)),
        "returned sizes that are not above 0",
    ),
    "tokens of another width": (
        lambda cues, budget: RawSelection(
            torch.arange(5), tokens=torch.ones(5, 4), source=torch.ones(5, 16)
        ),
        "tokens of width 4 where patch_tokens has 3",
    ),
    "a class that answers for itself": (
        lambda cues, budget: Lenient(torch.zeros(5, dtype=torch.int64)),
        "which is no RawSelection",
    ),
    "no roles": (
        lambda cues, budget: RawSelection(torch.arange(5), roles=(None,) * 5),
        "returned roles that are no words",
    ),
    "not finite": (
        lambda cues, budget: RawSelection(
            torch.arange(5), tokens=torch.full((5, 3), torch.inf), source=torch.ones(5, 16)
        ),
        "not finite",
    ),
}


@pytest.mark.parametrize(("choose", "told"), WRONG.values(), ids=WRONG)
def test_what_a_method_returns_is_checked(choose, told):
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the words are compared below
        choosing(choose).select(sixteen(), 5)
    assert told in str(refusal.value)
    assert "method 'mine' returned" in str(refusal.value)
    assert "5 different raster indices from 0 to 15" in str(refusal.value)


@pytest.mark.parametrize(
    "scores",
    [torch.ones(3), torch.ones(16, 1), torch.ones(17), [1.0] * 16, None, torch.ones(16) * 1j],
    ids=["few", "matrix", "many", "list", "None", "complex"],
)
def test_scores_are_one_real_number_per_token(scores):
    with pytest.raises(ValueError, match=r"'mine' failed.*tensor of 16 real numbers"):
        scoring(lambda cues: scores).select(sixteen(), 5)


def test_the_order_that_a_method_declares_is_made_true():
    turned = torch.tensor([9, 4, 12, 1])
    raster = choosing(lambda cues, budget: RawSelection(turned)).select(sixteen(), 4)
    assert raster.indices.tolist() == [1, 4, 9, 12]
    own = choosing(lambda cues, budget: RawSelection(turned), native_order="score")
    assert own.select(sixteen(), 4).indices.tolist() == [9, 4, 12, 1]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(0), "SystemExit: 0"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (ValueError("my own words"), "test_foreign_methods.py: my own words"),
    ],
)
def test_an_error_names_the_method_and_its_line(error, told, capsys):
    def score(cues):
        print("a line of the method")
        raise error

    with pytest.raises(ValueError, match=r"method 'mine' failed at line \d+ of test_fore.*") as hit:
        scoring(score).select(sixteen(), 5)
    assert told in str(hit.value)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "a line of the method\n")


@pytest.mark.parametrize("error", [ValueError("x" * 10**6), RuntimeError("x" * 10**6)])
def test_the_message_of_a_method_is_cut(error):
    def score(cues):
        raise error

    with pytest.raises(ValueError, match=r"method 'mine' failed.*xxx") as hit:
        scoring(score).select(sixteen(), 5)
    assert len(str(hit.value)) < 1_200


@pytest.mark.parametrize("error", [GeneratorExit(), StopIteration(), RecursionError(), Stray()])
def test_an_error_of_any_kind_is_the_methods_own(error):
    def score(cues):
        raise error

    told = f"method 'mine' failed at line .*{type(error).__name__}"
    with pytest.raises(ValueError, match=told):
        scoring(score).select(sixteen(), 5)


SETTINGS = {
    "number type": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "gradients": lambda: torch.set_grad_enabled(not torch.is_grad_enabled()),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "precision": lambda: torch.set_float32_matmul_precision("medium"),
    "determinism": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "folder": lambda: os.chdir("/"),
}
DRAWS = {
    "torch": lambda: torch.rand(2),
    "NumPy": lambda: np.random.rand(2),  # noqa: NPY002 - what a plug-in does
    "a seed": lambda: torch.manual_seed(5),
}


def settings():
    """Everything of the process that a method might change."""
    return [*(read() for read, _ in foreign._SETTINGS), *foreign._states(), random.getstate()]


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_draws_that_would_be_the_same_for_every_image_are_refused(draw):
    before = settings()
    with pytest.raises(ValueError, match=r"'mine' failed: it seeds or draws .*default_rng\(\(self"):
        scoring(lambda cues: (draw(), torch.arange(16.0))[1]).select(sixteen(), 5)
    assert settings() == before
    own = scoring(lambda cues: torch.from_numpy(np.random.default_rng((3, cues.key)).random(16)))
    first, again, other = (
        own.select(Cues.from_tensors(cls_attention=torch.ones(16), key=key), 5) for key in (1, 1, 2)
    )
    assert first.indices.tolist() == again.indices.tolist() != other.indices.tolist()


def test_draws_of_python_differ_between_images_and_not_between_calls():
    before, method = (
        random.getstate(),
        scoring(lambda cues: torch.tensor(random.sample(range(16), 16))),
    )
    first, again, other = (
        method.select(Cues.from_tensors(cls_attention=torch.ones(16), key=key), 5)
        for key in (1, 1, 2)
    )
    assert first.indices.tolist() == again.indices.tolist() != other.indices.tolist()
    assert random.getstate() == before


def test_a_cue_that_needs_do_not_name_is_refused_at_its_line():
    cues = Cues.from_tensors(patch_embeds=torch.ones(4, 2), text_embeds=torch.ones(1, 2))
    for read in (lambda cues: cues.text_embeds.sum(-1), lambda cues: cues.float32("text_embeds")):
        with pytest.raises(ValueError, match=r"at line .*cue 'text_embeds' .* not named in needs"):
            scoring(read).select(cues, 2)


@pytest.mark.parametrize("change", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("fails", [False, True])
def test_settings_of_the_process_are_put_back(change, fails):
    def score(cues):
        change()
        return [] if fails else torch.arange(16.0, device="cpu")

    before = settings()
    with pytest.raises(ValueError, match="real numbers") if fails else nullcontext():
        scoring(score).select(sixteen(), 5)
    assert settings() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
def test_an_interrupt_and_too_little_memory_stay_what_they_are(error):
    def score(cues):
        raise error

    with pytest.raises(type(error)):
        scoring(score).select(sixteen(), 5)


def dropping(function) -> tuple[DropState, View]:
    """A layer with four visual tokens, of which a method of this file leaves two."""

    @dataclass(frozen=True, kw_only=True)
    class Dropped(Named, LayerPruner):
        def drop_layers(self, n_layers):
            return (1,)

        def kept_counts(self, budget, n_tokens, n_layers):
            return (2,)

        def reduce(self, scored, entering, count):
            return function(scored, entering)

    plan = SimpleNamespace(pruner=Dropped())
    state = DropState(
        plan=plan,
        schedule=(4, 2),
        image=torch.arange(4),
        places=torch.arange(4),
        queries=torch.tensor([5]),
    )
    parts = {name: torch.ones(7, 3) for name in ("keys", "values", "states", "hidden_states")}
    rotary = (torch.ones(7, 2), torch.ones(7, 2))
    return state, View(attention=torch.ones(2, 2, 7), rotary=rotary, **parts)


def test_a_layer_changed_in_place_changes_no_other_reader():
    def spoil(scored, entering):
        for view in (scored, entering):
            found = [view.hidden_states, view.queries, view.keys(), view.values(), view.states()]
            for tensor in (*found, *view.rotary(), view.attention(view.queries)):
                tensor.zero_()
        return DropResult(torch.tensor([1, 3]))

    state, view = dropping(spoil)
    assert state.drop(1, view).tolist() == [[1.0] * 3] * 2
    assert view.queries.tolist() == [5]
    given = [part for part in view._given.values() if isinstance(part, torch.Tensor)]
    assert all(bool((part == 1).all()) for part in (*given, *view.rotary()))


@pytest.mark.parametrize(
    "left",
    [
        None,
        DropResult(torch.tensor([1])),
        DropResult(torch.tensor([3, 1])),
        DropResult(torch.tensor([1, 1])),
        DropResult(torch.tensor([1, 4])),
        DropResult(torch.tensor([-1, 1])),
        DropResult(torch.tensor([0.0, 1.0])),
        DropResult(torch.tensor([1]), weights=torch.ones(1, 4)),
        DropResult(torch.tensor([1]), weights=torch.ones(1, 3), stand_for=torch.tensor([2])),
        DropResult(torch.tensor([1]), weights=torch.ones(1, 4), stand_for=torch.tensor([4])),
        DropResult(torch.tensor([1]), weights=torch.ones(1, 4), stand_for=[2]),
        DropResult(
            torch.tensor([1]), weights=torch.full((1, 4), torch.nan), stand_for=torch.arange(1)
        ),
    ],
)
def test_what_a_drop_leaves_is_checked(left):
    state, view = dropping(lambda scored, entering: left)
    with pytest.raises(ValueError, match=r"'mine' left .* at layer 1; reduce must return"):
        state.drop(1, view)


def test_the_suites_own_methods_get_no_copies():
    seen = []
    cues = sixteen()
    method = get_pruner("fastervlm")
    original = type(method).score
    type(method).score = lambda self, cues: seen.append(cues) or original(self, cues)
    try:
        method.select(cues, 3)
    finally:
        type(method).score = original
    assert seen == [cues]


FAILING = {
    "at the top": ("print('said'); sys.exit(0)", "pass", "plugin 'bad.py' failed at line 2"),
    "in a score": ("pass", "print('said'); sys.exit(0)", "method 'bad' failed at line 13"),
}


@pytest.mark.parametrize(("top", "body", "told"), FAILING.values(), ids=FAILING)
def test_a_plugin_cannot_end_a_command_as_if_all_were_well(
    top, body, told, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    plugin = tmp_path / "bad.py"
    plugin.write_text(
        f"""import sys
{top}
from dataclasses import dataclass
from typing import ClassVar
from litelvlm.pruning import ScorePruner
@dataclass(frozen=True, kw_only=True)
class Bad(ScorePruner):
    name: ClassVar[str] = "bad"
    title: ClassVar[str] = "bad"
    summary: ClassVar[str] = "bad"
    needs: ClassVar[frozenset[str]] = frozenset({{"cls_attention"}})
    def score(self, cues):
        {body}
"""
    )
    words = ["--methods", "bad", "--budgets", "16", "--limit", "1", "--json"]
    code = main(["evaluate", *words, "--plugin", str(plugin), "--out", str(tmp_path)])
    printed = capsys.readouterr()
    assert code not in (0, None)
    assert told in printed.err
    assert printed.out == ""
    assert "defect of the suite" not in printed.err


def test_a_constructor_written_by_hand_is_refused():
    """Nothing would record its options, and a copy of the method would lose them."""

    def __init__(self, sign):
        super(Pruner, self).__init__()

    for made in (lambda cls: cls, dataclass(frozen=True)):
        with pytest.raises(TypeError, match="Signed defines __init__, but a method is a frozen"):
            made(type("Signed", (Named, ScorePruner), {"__init__": __init__}))
    slotted = type("Slotted", (Named, ScorePruner), {"score": lambda self, cues: cues})
    assert dataclass(frozen=True, slots=True)(slotted)().name == "mine"
