"""What every method inside the language model must do, on random layers.

All methods are held to one list of cases.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_views import View

from litelvlm.pruning import get_pruner
from tests.method_cases import INSIDE, METHODS, parametrised

every_case = parametrised(INSIDE)
EQUIVARIANT = [name for name, case in METHODS.items() if case.layer_equivariant]
SCALED = {name: case.layer_scaled for name, case in METHODS.items() if case.layer_scaled}
N = 20


def layer(seed: int, dtype: torch.dtype = torch.float32, turn: torch.Tensor | None = None) -> View:
    """A random layer: one token before 20 visual ones and six after, of which two ask.

    Visual tokens are turned.
    """
    made = torch.Generator().manual_seed(seed)
    length = N + 7
    place = torch.arange(length)
    if turn is not None:
        place[1 : 1 + N] = turn + 1
    angles = torch.rand(length, 4, generator=made)
    given = {
        "attention": torch.rand(3, 6, length, generator=made).softmax(-1)[:, :, place],
        "keys": torch.randn(length, 8, generator=made)[place],
        "values": torch.randn(length, 2, 4, generator=made)[place],
        "states": torch.randn(length, 8, generator=made)[place],
        "hidden_states": torch.randn(length, 8, generator=made)[place].to(dtype),
        "rotary": (angles.cos()[place], angles.sin()[place]),
    }
    return View(queries=(N + 2, N + 5), n_visual=N, **given)


def test_every_method_says_what_it_reads_of_a_layer():
    for name, _ in INSIDE:
        reads = get_pruner(name).reads
        assert reads
        assert reads <= {"attention", "keys", "values", "rotary", "states", "hidden_states"}


@every_case
def test_what_a_method_says_it_reads_suffices(name, options):
    pruner, whole = get_pruner(name, **options), layer(4)
    part = View(
        queries=(N + 2, N + 5), n_visual=N, **{given: whole._given[given] for given in pruner.reads}
    )
    assert (
        pruner.reduce(part, part, 12).places.tolist()
        == pruner.reduce(whole, whole, 12).places.tolist()
    )


def counts(pruner) -> range:
    """Counts that a drop from 20 tokens may leave."""
    return range(pruner.min_kept(N), N)


@every_case
@pytest.mark.parametrize("seed", [0, 1])
def test_as_many_tokens_as_asked_none_twice_in_order(name, options, seed):
    pruner, view = get_pruner(name, **options), layer(seed)
    for count in counts(pruner):
        kept = pruner.reduce(view, view, count)
        places = kept.places.tolist()
        n_mixed = 0 if kept.weights is None else len(kept.weights)
        assert len(places) + n_mixed == count
        assert places == sorted(set(places))
        assert all(0 <= place < N for place in places)
        # Nuwa merges before the language model.
        assert (n_mixed > 0) == (pruner.synthetic and name != "nuwa")
        if n_mixed:
            assert (kept.weights >= 0).all()
            # A sum counts each of its tokens once, everything else is an average.
            added = getattr(pruner, "recycled", "mean") == "sum"
            whole = (kept.weights > 0).sum(1).float() if added else torch.ones(n_mixed)
            torch.testing.assert_close(kept.weights.sum(1), whole)
            # A coordinate that an add-on keeps may also be one of those that were averaged.
            assert name == "ivc_layer_add_on" or not kept.weights[:, kept.places].any()
            assert len(set(kept.stand_for.tolist())) == n_mixed


@every_case
def test_same_layer_same_choice_whatever_the_number_type(name, options):
    pruner = get_pruner(name, **options)
    first, again = (pruner.reduce(layer(3), layer(3), 12) for _ in range(2))
    half = layer(3, torch.bfloat16)
    full = layer(3)
    full.hidden_states = half.hidden_states.float()
    from_half, from_full = (pruner.reduce(view, view, 12) for view in (half, full))
    for a, b in ((first, again), (from_half, from_full)):
        assert a.places.tolist() == b.places.tolist()
        assert a.weights is b.weights is None or torch.equal(a.weights, b.weights)


@pytest.mark.parametrize("name", EQUIVARIANT)
@given(seed=st.integers(0, 10_000), data=st.data())
@settings(deadline=None, max_examples=10)
def test_turning_visual_tokens_turns_the_choice(name, seed, data):
    pruner = get_pruner(name)
    count = data.draw(st.sampled_from(counts(pruner)))
    turn = torch.randperm(N, generator=torch.Generator().manual_seed(seed))
    plain, turned = layer(seed), layer(seed, turn=turn)
    before, after = pruner.reduce(plain, plain, count), pruner.reduce(turned, turned, count)
    assert sorted(turn[after.places].tolist()) == before.places.tolist()


@pytest.mark.parametrize("name", [name for name in EQUIVARIANT if name != "sparsevlm"])
def test_equal_tokens_are_kept_from_the_first(name):
    length = N + 7
    flat = (torch.ones(length, 4), torch.zeros(length, 4))
    view = View(
        torch.full((3, 6, length), 1 / length),
        (N + 2,),
        N,
        values=torch.ones(length, 2, 4),
        rotary=flat,
    )
    assert get_pruner(name).reduce(view, view, 7).places.tolist() == list(range(7))


def test_the_scale_of_what_every_method_reads_is_decided_on():
    assert set(SCALED) == {name for name, _ in INSIDE}


@pytest.mark.parametrize("name", SCALED)
@given(seed=st.integers(0, 10_000), exponent=st.integers(-8, 8))
@settings(deadline=None, max_examples=10)
def test_scaling_what_is_ranked_changes_nothing(name, seed, exponent):
    plain, scaled = layer(seed), layer(seed)
    given = plain._given[SCALED[name]]
    made = (
        [part * 2.0**exponent for part in given]
        if isinstance(given, tuple)
        else given * 2.0**exponent
    )
    scaled._given[SCALED[name]] = made
    pruner = get_pruner(name)
    kept = [pruner.reduce(view, view, 9).places.tolist() for view in (plain, scaled)]
    assert kept[0] == kept[1]


@every_case
def test_schedules_spend_the_budget_or_name_the_smallest(name, options):
    pruner = get_pruner(name, **options)
    if options.get("budget_is") == "retained":
        assert pruner.schedule(8, 144, 4) == (144, 144, 8, 8)
        return
    averages = {}
    for budget in range(1, 144):
        try:
            schedule = pruner.schedule(budget, 144, 4)
        except ValueError as refusal:
            smallest = int(str(refusal).split("smallest budget is ")[1].split(",")[0])
            assert budget < smallest
            continue
        assert pruner.returning or list(schedule) == sorted(schedule, reverse=True)
        assert min(schedule) >= 1
        averages[budget] = sum(schedule) / 4
    assert list(averages) == list(range(min(averages), 144))
    assert min(averages) == (smallest if min(averages) > 1 else 1)
    assert all(abs(average - budget) < 1 for budget, average in averages.items())
