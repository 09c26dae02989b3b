"""Methods inside the language model.

Schedules against published tables, and choices worked out by hand.
"""

import pytest
import torch
from layer_views import ATTENTION, View

from litelvlm.pruning import Cues, LayerPlan, LayerPruner, LayerTrace, get_pruner, list_pruners
from litelvlm.pruning.layers.drops import scaled_layers

METHODS = [name for name, method in list_pruners().items() if issubclass(method, LayerPruner)]
# Nuwa prunes before the language model too.
RATED = ("sparsevlm", "sparsevlm_plus")
PLAIN = [name for name in METHODS if name != "nuwa"]


# (32 T - 576 K) / (32 - K), rounded: (6144 - 576) / 31 = 179.6, (4096 - 1152) / 30 = 98.1, (2048 -
# 576) / 31 = 47.48, (1024 - 576) / 31 = 14.45 ... None: below half a token.
@pytest.mark.parametrize(
    ("budget", "left"),
    [
        (192, {1: 180, 2: 166, 3: 152, 5: 121, 8: 64}),
        (128, {1: 114, 2: 98, 3: 82, 5: 45, 8: None}),
        (64, {1: 47, 2: 30, 3: 11, 5: None, 8: None}),
        (32, {1: 14, 2: None, 3: None, 5: None, 8: None}),
    ],
)
@pytest.mark.parametrize("name", ["fastv", "dart"])
def test_one_drop_at_full_size(name, budget, left):
    for layer, count in left.items():
        pruner = get_pruner(name, layer=layer)
        if count is None:
            with pytest.raises(
                ValueError,
                match=f"{name} cannot average {budget} of 576 visual tokens over 32 layers",
            ):
                pruner.schedule(budget, 576, 32)
        else:
            schedule = pruner.schedule(budget, 576, 32)
            assert schedule == (576,) * layer + (count,) * (32 - layer)
            assert abs(sum(schedule) / 32 - budget) <= 0.5


@pytest.mark.parametrize(
    ("layers", "budget", "counts"),
    [
        ((8, 16, 24), 192, (576, 145, 36, 9)),
        ((4, 8, 16), 128, (576, 203, 71, 25)),
        ((2, 8, 16), 64, (576, 110, 21, 4)),
        ((1, 4, 8), 32, (576, 100, 17, 3)),
    ],
)
def test_pyramid_at_full_size(layers, budget, counts):
    schedule = get_pruner("pyramiddrop", layers=layers).schedule(budget, 576, 32)
    edges = (0, *layers, 32)
    assert [schedule[edge] for edge in edges[:-1]] == list(counts)
    for count, start, stop in zip(counts, edges, edges[1:], strict=False):
        assert set(schedule[start:stop]) == {count}
    # Whole counts are rounded down.
    assert budget - 1 < sum(schedule) / 32 <= budget


# The four published budgets of 576 tokens in 32 layers: the layers of the first drop that affords
# them.
MATCHED = {
    "fastv": (2, 2, 2, 1),
    "dart": (2, 2, 2, 1),
    # 16 layers of 576 are 288 on average, 8 are 144, 4 are 72, 2 are 36.
    "ivc_prune": (8, 4, 2, 1),
    # 8 layers of 576 are 144, 4 are 72, 2 are 36.
    "pyramiddrop": (8, 4, 2, 1),
    "sparsevlm": (3, 3, 3, 1),
    "sparsevlm_plus": (3, 3, 3, 1),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_meets_the_four_budgets_at_full_size(name):
    pruner = get_pruner(name).matched()
    for place, budget in enumerate((192, 128, 64, 32)):
        schedule = pruner.schedule(budget, 576, 32)
        assert abs(sum(schedule) / 32 - budget) < 0.7
        assert min(schedule) >= 1
        if name in MATCHED:
            assert schedule.count(576) == MATCHED[name][place]


def test_pyramiddrop_meets_the_four_budgets_of_the_miniature():
    # Layers (1, 2, 3), twice (0, 1, 2), and (0, 1): r + 3 r^2 = 4 * 8 / 144 has the root .1528;
    # 22.0 and 3.36.
    pruner = get_pruner("pyramiddrop", preset="matched")
    assert [pruner.schedule(budget, 144, 4) for budget in (48, 32, 16, 8)] == [
        (144, 36, 9, 2), (67, 31, 14, 14), (43, 12, 3, 3), (21, 3, 3, 3),
    ]  # fmt: skip


def test_published_depths_and_query_tokens_are_the_defaults():
    asks = dict.fromkeys(METHODS, "last_prompt") | dict.fromkeys(RATED, "raters")
    asks |= {"ivc_prune": "mean_text", "lvlm_csp_like": "seg"}
    assert {name: get_pruner(name).effective_query_token for name in METHODS} == asks
    assert get_pruner("fastv").drop_layers(32) == (2,)
    assert get_pruner("dart").drop_layers(32) == (2,)
    assert get_pruner("pyramiddrop").drop_layers(32) == (8, 16, 24)
    # In a model of 4 layers: 2 / 8 is rounded up to 1.
    assert get_pruner("fastv").drop_layers(4) == (1,)
    assert get_pruner("pyramiddrop").drop_layers(4) == (1, 2, 3)
    # 8, 16, 24 / 16 = 0.5, 1, 1.5; 2 is no layer of two.
    assert scaled_layers((8, 16, 24), 2) == (1,)


@pytest.mark.parametrize(
    ("name", "options", "budget", "smallest", "earlier"),
    [
        # (144 + 3 R) / 4: R rounds to 1 from 36.4 on. Both score at the layer before, so layer 0
        # processes all tokens.
        ("fastv", {}, 32, 37, 37),
        ("fastv", {"preset": "matched"}, 32, 37, 37),
        ("dart", {}, 8, 37, 37),
        # (2 * 144 + 2 R) / 4: R rounds to 1 from 72.25 on.
        ("fastv", {"layer": 2}, 48, 73, 37),
        # 144 r^3 >= 1 from r = .1908 on: 36 (1 + r + r^2 + r^3) = 44.4. Before layer 0 any count
        # will do.
        ("pyramiddrop", {}, 32, 45, 1),
        # The same r: 36 (r + r^2 + 2 r^3) = 8.68.
        ("pyramiddrop", {"layers": (0, 1, 2)}, 8, 9, 1),
        ("ivc_prune", {}, 48, 73, 37),
        ("lvlm_csp_like", {"preset": "matched"}, 36, 37, 37),
    ],
)
def test_impossible_budgets_name_the_smallest_possible_one(
    name, options, budget, smallest, earlier
):
    pruner = get_pruner(name, **options)
    instead = (
        f", or {earlier} with drops at earlier layers .preset 'matched'.$"
        if earlier < smallest
        else "$"
    )
    with pytest.raises(ValueError, match=f"smallest budget is {smallest}{instead}"):
        pruner.schedule(budget, 144, 4)
    with pytest.raises(ValueError, match=f"cannot average {smallest - 1} of 144"):
        pruner.schedule(smallest - 1, 144, 4)
    assert min(pruner.schedule(smallest, 144, 4)) >= 1


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("budget", [0, 145, True])
def test_budgets_out_of_range_are_refused(name, budget):
    with pytest.raises(ValueError, match="from 1 to 144"):
        get_pruner(name).schedule(budget, 144, 4)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("fastv", {"layer": 0}, r"layer \[0\] must be different, ascending layers from 1 to 3"),
        ("fastv", {"layer": 4}, r"layer \[4\] .* the language model has 4"),
        (
            "pyramiddrop",
            {"layers": (2, 1)},
            r"layers \[2, 1\] must be different, ascending layers from 0 to 3",
        ),
        ("pyramiddrop", {"layers": (1, 1)}, r"layers \[1, 1\]"),
        ("pyramiddrop", {"layers": ()}, r"layers \[\]"),
    ],
)
def test_layers_that_the_model_lacks_are_refused(name, options, words):
    with pytest.raises(ValueError, match=words):
        get_pruner(name, **options).schedule(48, 144, 4)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("fastv", {"query_token": "first"}, "unknown query_token 'first'"),
        ("fastv", {"layer": 1.5}, "layer 1.5 is not allowed; give a whole number or None"),
        ("pyramiddrop", {"layers": ("a",)}, "layers .* is not allowed; give whole numbers"),
        ("pyramiddrop", {"layers": 3}, "layers 3 is not allowed"),
        ("dart", {"image_pivots": 0}, "image_pivots 0"),
        ("dart", {"text_pivots": -1}, "text_pivots -1"),
        (
            "fastv",
            {"layer": 1, "depth": "budget"},
            "layer 1 and depth='budget' both say where tokens are dropped",
        ),
        ("pyramiddrop", {"layers": [1], "depth": "budget"}, r"layers \(1,\) and depth='budget'"),
    ],
)
def test_wrong_fields_are_refused(name, options, words):
    with pytest.raises(ValueError, match=words):
        get_pruner(name, **options)


def test_a_saved_list_of_layers_is_a_tuple_again():
    pruner = get_pruner("pyramiddrop", layers=[1, 2])
    assert pruner == get_pruner("pyramiddrop", layers=(1, 2))
    assert hash(pruner) == hash(get_pruner("pyramiddrop", layers=(1, 2)))


@pytest.mark.parametrize("name", PLAIN)
def test_selecting_lets_every_token_in(name):
    plan = get_pruner(name).select(Cues({}, (12, 12)), 48)
    assert isinstance(plan, LayerPlan)
    assert plan.indices.tolist() == plan.positions[0].tolist() == list(range(144))
    assert (len(plan), plan.span, plan.budget, plan.pruner.name) == (144, 144, 48, name)
    with pytest.raises(ValueError, match="budget 145"):
        get_pruner(name).select(Cues({}, (12, 12)), 145)


@pytest.mark.parametrize("name", ["fastv", "pyramiddrop"])
def test_attention_methods_by_hand(name):
    pruner = get_pruner(name)
    one, both = View(ATTENTION), View(ATTENTION, queries=(5, 6))
    # Token 5, mean of the heads: .15 .15 .15 .3. The tie goes to the first.
    assert one.image_attention().tolist() == pytest.approx([0.15, 0.15, 0.15, 0.3])
    assert pruner.reduce(one, one, 2).places.tolist() == [0, 3]
    # With token 6 (.35 .05 .3 .0): .25 .10 .225 .15.
    assert both.image_attention().tolist() == pytest.approx([0.25, 0.1, 0.225, 0.15])
    assert pruner.reduce(both, both, 2).places.tolist() == [0, 2]
    assert pruner.reduce(both, both, 3).places.tolist() == [0, 2, 3]


def test_fastv_reads_the_layer_before_and_pyramiddrop_its_own():
    before, own = View(ATTENTION), View(ATTENTION, queries=(6,))
    # Token 5 prefers place 3, token 6 place 0.
    assert get_pruner("fastv").reduce(before, own, 1).places.tolist() == [3]
    assert get_pruner("pyramiddrop").reduce(before, own, 1).places.tolist() == [0]
    assert (get_pruner("fastv").look_back, get_pruner("pyramiddrop").look_back) == (1, 0)


def test_pyramiddrop_ranks_with_the_layer_before_the_drop_as_its_paper():
    before, own = View(ATTENTION), View(ATTENTION, queries=(6,))
    paper = get_pruner("pyramiddrop", ranked_at="before")
    # Token 5 of the layer before prefers place 3.
    assert paper.look_back == 1
    assert paper.reduce(before, own, 1).places.tolist() == [3]
    # No layer comes before layer 0, so no drop can be ranked there.
    with pytest.raises(ValueError, match="from 1 to 3"):
        get_pruner("pyramiddrop", layers=(0, 2), ranked_at="before").schedule(60, 144, 4)
    small = get_pruner("pyramiddrop", preset="matched")
    assert small.smallest_budget(144, 4) == 1
    later = get_pruner("pyramiddrop", preset="matched", ranked_at="before")
    assert later.smallest_budget(144, 4) > 1


def test_nuwa_drops_by_the_cosine_to_the_mean_text_as_its_paper():
    # Visual directions in degrees: 0, 90, 60 and 185. The text points at 45 (twice) and 70.
    angles = torch.deg2rad(torch.tensor([10.0, 0, 90, 60, 185, 45, 70]))
    states = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.arange(1.0, 8.0)[:, None]
    view = View(ATTENTION, queries=(5, 6), hidden_states=states)
    paper = get_pruner("nuwa", drop_by="text_cosine", query_token="mean_text")
    assert paper.reduce(view, view, 1).places.tolist() == [2]
    assert paper.reduce(view, view, 2).places.tolist() == [1, 2]
    assert paper.reduce(view, view, 3).places.tolist() == [0, 1, 2]
    # The attention of the layer prefers places 0 and 2.
    assert get_pruner("nuwa").reduce(view, view, 2).places.tolist() == [0, 2]
    assert (paper.reads, get_pruner("nuwa").reads) == ({"hidden_states"}, {"attention"})


def test_dart_by_hand():
    # L1 norms 9, then 1 3 2 1 for visual tokens, 4 and 5 for text: pivots are place 1 and token 6.
    keys = torch.tensor([[9.0, 0.0], [1, 0], [-3, 0], [1, -1], [0, 1], [2, 2], [0, 5]])
    # Directions in degrees: visual 0, 90, 60, 185; token 6: 200.
    angles = torch.deg2rad(torch.tensor([45.0, 0, 90, 60, 185, 45, 200]))
    view = View(keys=keys, states=torch.stack([angles.cos(), angles.sin()], dim=1) * 3)
    pruner = get_pruner("dart", image_pivots=1, text_pivots=1)
    assert pruner.reduce(view, view, 1).places.tolist() == [1]
    # Pivot 1 (90 degrees) takes the one farthest from it: 0 is 90 away, 2 is 30, 3 is 95.
    assert pruner.reduce(view, view, 2).places.tolist() == [1, 3]
    # Then token 6 (200 degrees): place 0 is 160 away, place 2 140.
    assert pruner.reduce(view, view, 3).places.tolist() == [0, 1, 3]
    # Without text: the two least like pivot 1 are 3 (95 degrees) and 0 (90).
    blind = get_pruner("dart", image_pivots=1, text_pivots=0)
    assert blind.reduce(view, view, 3).places.tolist() == [0, 1, 3]
    # Pivots alone: places 1 and 2.
    assert get_pruner("dart", image_pivots=2).reduce(view, view, 2).places.tolist() == [1, 2]


def test_a_trace_counts_tokens_per_layer():
    every, few = torch.arange(4), torch.tensor([1, 3])
    trace = LayerTrace(few, 4, few[None], 4, layers=(every, few, few, few[1:]), sources=(None,) * 4)
    assert trace.counts == (4, 2, 2, 1)
    # (4 + 2 + 2 + 1) / 4.
    assert trace.average == 2.25
    assert len(trace) == 2
