"""IVC-Prune and its add-ons.

Coordinates of the 7B model, value similarity and composition worked out by hand.
"""

import math

import pytest
import torch
from layer_views import View

from litelvlm.pruning import Cues, get_pruner
from litelvlm.pruning.methods.ivc_prune import value_similarity
from litelvlm.pruning.scoring import add_coordinates, coordinate_ranking


def llama_angles(start: int, n_tokens: int) -> torch.Tensor:
    """Rotary angles of LLaMA-7B (128 channels, base 10,000), each once."""
    positions = torch.arange(start, start + n_tokens, dtype=torch.float64)
    return positions[:, None] * 10_000 ** (-torch.arange(64, dtype=torch.float64) / 64)


def test_coordinates_of_the_7b_model_are_where_they_were_reported():
    angles = llama_angles(35, 576)
    ranking = coordinate_ranking(angles.cos().mean(1).float(), angles.sin().mean(1).float())
    # 5 % of 576 are 29 by cosine and 29 by sine, all different; the first in rows 0 to 2 of 24, the
    # others in 6 to 22.
    best = ranking[:58]
    assert len(set(best.tolist())) == 58
    by_cosine = set(torch.sort(angles.cos().mean(1), descending=True).indices[:29].tolist())
    by_sine = set(torch.sort(angles.sin().mean(1), descending=True).indices[:29].tolist())
    assert set(best.tolist()) == by_cosine | by_sine
    assert {i // 24 for i in by_cosine} == {0, 1, 2}
    rows = {i // 24 for i in by_sine}
    assert (min(rows), max(rows)) == (6, 22)


def test_coordinate_ranking_by_hand():
    # By cosine 2 0 1 3, by sine 0 3 2 1 (ties to the first); in turns 2 0 / 0 3 / 1 2 / 3 1.
    assert coordinate_ranking(
        torch.tensor([0.5, 0.1, 0.9, 0.0]), torch.tensor([0.4, 0.0, 0.2, 0.4])
    ).tolist() == [2, 0, 3, 1]
    assert add_coordinates(torch.tensor([3, 1]), torch.tensor([2, 3, 0, 1]), 3).tolist() == [
        3,
        1,
        2,
    ]


def test_value_similarity_by_hand():
    # One head of one channel: row 3 (value ln 2) gives softmax of ln 2 * (0, ln 2 / ln 2, ...):
    # 2^v.
    values = torch.tensor([0.0, 1.0, 2.0, math.log(2)])[:, None, None]
    assert value_similarity(values, torch.tensor([3])).tolist() == pytest.approx(
        [w / (1 + 2 + 4 + 2 ** math.log(2)) for w in (1, 2, 4, 2 ** math.log(2))]
    )
    # Four channels halve the logits: 2^(4 v / 2) with every channel ln 2 and v.
    wide = values.expand(-1, -1, 4)
    assert value_similarity(wide, torch.tensor([3]))[:3].log2().diff().tolist() == pytest.approx(
        [2.0, 2.0]
    )


def layer(n_visual=6):
    """Visual tokens 1 to 6, question 7.

    Values: 1 and 2 are like the question, 3 is like 1 only, 5 like none.
    """
    values = torch.zeros(8, 1, 4)
    values[7, 0, 0] = 2.0
    values[1, 0, :2] = torch.tensor([3.0, 3.0])
    values[2, 0, 0] = 1.0
    values[3, 0, 1] = 5.0
    values[4, 0, 2] = 1.0
    values[5, 0, 0] = -9.0
    # Mean cosines are largest at the last visual token, mean sines at the fifth.
    cos = torch.tensor([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 0])[:, None].expand(-1, 2)
    sin = torch.tensor([0, 0.1, 0.2, 0.3, 0.4, 0.8, 0.0, 0])[:, None].expand(-1, 2)
    return View(None, queries=(7,), n_visual=n_visual, values=values, rotary=(cos, sin))


def test_ivc_prune_by_hand():
    view = layer()
    # Of four, round(.15 * 4) = 1 by cosine (place 5) and 1 by sine (place 4), one seed: place 0 has
    # the largest dot with the question, 6. The fourth: half the dots of places 1 and 2 are 1 and 0
    # with the question (softmax .08 and .03), 1.5 and 7.5 with the seed (.0004 and .18, for its own
    # 9 leaves little): place 2.
    pruner = get_pruner("ivc_prune")
    assert pruner.reduce(view, view, 4).places.tolist() == [0, 2, 4, 5]
    # Without coordinates: seed 0, then 2, 1, and of places 3 and 5 (dots of 0) and 4 (negative
    # ones) the first.
    plain = get_pruner("ivc_prune", coordinate_share=0.0)
    assert [plain.reduce(view, view, n).places.tolist() for n in (1, 2, 3, 4)] == [
        [0],
        [0, 2],
        [0, 1, 2],
        [0, 1, 2, 3],
    ]
    # Of two, no coordinate (round .3) and one seed.
    assert pruner.reduce(view, view, 2).places.tolist() == [0, 2]
    # All of them coordinates: of six, three by cosine (5 4 3) and three by sine (4 3 2) in turns: 5
    # 4 3 2 ...
    most = get_pruner("ivc_prune", coordinate_share=0.5)
    assert most.reduce(view, view, 4).places.tolist() == [2, 3, 4, 5]


def test_a_coordinate_that_is_also_foreground_makes_room_for_more():
    view = layer()
    cos, sin = view.rotary()
    view = View(
        None, queries=(7,), n_visual=6, values=view.values(), rotary=(cos.flip(0), sin.flip(0))
    )
    # Now places 0 (the seed) and 1 are the coordinates: two more from the foreground, 2 and 3.
    assert get_pruner("ivc_prune").reduce(view, view, 4).places.tolist() == [0, 1, 2, 3]


def test_schedules_are_honest_about_the_layers_before():
    published = get_pruner("ivc_prune")
    assert published.drop_layers(32) == (16,)
    # (16 * 576 + 16) / 32 = 288.5: at least half a token has to be left, 16 * .5 / 32 more than
    # 288.
    with pytest.raises(
        ValueError, match=r"ivc_prune cannot average 192 .* the smallest budget is 289"
    ):
        published.schedule(192, 576, 32)
    # What is left after the drop may be called the budget, at (16 * 576 + 16 * 161) / 32 on
    # average.
    retained = get_pruner("ivc_prune", budget_is="retained").schedule(161, 576, 32)
    assert retained == (576,) * 16 + (161,) * 16
    assert sum(retained) / 32 == 368.5
    early = get_pruner("ivc_prune", preset="early")
    assert [early.schedule(b, 576, 32)[1] for b in (192, 128, 64, 32)] == [180, 114, 47, 14]
    assert early.schedule(48, 144, 4) == (144, 16, 16, 16)
    assert get_pruner("ivc_prune").drop_layers(4) == (2,)


COORDINATES = {
    "rotary_cosine": torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4, 0.9]),
    "rotary_sine": torch.tensor([0.0, 0.1, 0.2, 0.3, 0.8, 0.4]),
}


def test_the_add_on_by_hand():
    cues = Cues(
        COORDINATES | {"cls_attention": torch.tensor([0.3, 0.2, 0.1, 0.0, 0.0, 0.4])}, (2, 3)
    )
    # Of four, round(.5 * 4) = 2 by attention: 5 and 0. Coordinates 5 4 3 ...: 5 is there already,
    # so 4 and 3.
    selection = get_pruner("ivc_add_on", share=0.5).select(cues, 4)
    assert selection.indices.tolist() == selection.positions[0].tolist() == [0, 3, 4, 5]
    assert selection.roles == ("chosen", "coordinate", "coordinate", "chosen")
    # A tenth of one or of four is none; one token is always the other method's.
    assert get_pruner("ivc_add_on").select(cues, 4).indices.tolist() == [0, 1, 2, 5]
    assert get_pruner("ivc_add_on", share=0.9).select(cues, 1).indices.tolist() == [5]


def test_the_add_on_inside_the_language_model_by_hand():
    # Token 7 attends to places 0 to 5 as much as .3 .2 .1 0 0 .4; coordinates as above.
    attention = torch.tensor([[[0.0, 0.3, 0.2, 0.1, 0.0, 0.0, 0.4, 0.0]]])
    parts = (torch.cat([torch.zeros(1), COORDINATES[name], torch.zeros(1)]) for name in COORDINATES)
    view = View(
        attention, queries=(7,), n_visual=6, rotary=tuple(p[:, None].expand(-1, 2) for p in parts)
    )
    for inner in ("fastv", "pyramiddrop"):
        pruner = get_pruner("ivc_layer_add_on", of=inner, share=0.5)
        assert pruner.reduce(view, view, 4).places.tolist() == [0, 3, 4, 5]
        chosen = get_pruner("ivc_layer_add_on", of=inner, query_token="last")
        assert chosen.effective_query_token == "last"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("ivc_prune", {"coordinate_share": 0.6}, r"coordinate_share 0.6 is not in \[0, 0.5\]"),
        ("ivc_prune", {"seed_share": -0.1}, "seed_share -0.1"),
        ("ivc_prune", {"budget_is": "kept"}, "unknown budget_is 'kept'"),
        ("ivc_add_on", {"share": 1.0}, r"share 1.0 is not in \[0, 1\)"),
        (
            "ivc_add_on",
            {"of": "fastv"},
            "ivc_add_on cannot take of=FastV.* it works at stage 'llm'",
        ),
        ("ivc_add_on", {"of": "restore"}, "attention is calibrated"),
        (
            "ivc_layer_add_on",
            {"query_token": "first"},
            "'first' is not allowed; choose from 'last'",
        ),
        (
            "ivc_layer_add_on",
            {"of": "fastervlm"},
            "ivc_layer_add_on cannot take of=.* it does not drop tokens inside",
        ),
        ("ivc_layer_add_on", {"of": "nuwa"}, "inside the language model alone"),
    ],
)
def test_wrong_fields_are_refused(name, options, words):
    with pytest.raises(ValueError, match=words):
        get_pruner(name, **options)
