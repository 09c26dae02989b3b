"""Dropping visual tokens inside the language model, on the shipped weights.

Identities, books and batching.
"""

import pytest
import torch
from layer_drops import decode_dropping
from transformers.models.llama.modeling_llama import eager_attention_forward

from litelvlm import get_pruner, list_pruners, load_model
from litelvlm.models.glamm.language.layer_view import LlamaView
from litelvlm.models.glamm.prompting.places import query_places
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX
from litelvlm.pruning import LayerPlan, LayerPruner, LayerTrace, Selection
from tests.glamm_parts import ANSWERS, conversation, decode, full_prompt

METHODS = [name for name, method in list_pruners().items() if issubclass(method, LayerPruner)]
# At its published depth, half of the layers, no small average is possible.
DEPTH = {"ivc_prune": {"layer": 1}}
QUERIES = ("last", "last_prompt", "seg", "mean_text")


def assert_near(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def plan(model, state, talk, name, budget=48, **options) -> LayerPlan:
    return get_pruner(name, **options).select(model.cues(state, talk), budget)


def view_of(model, state, talk, selection, layer, query_token) -> LlamaView:
    """A layer as what was selected enters it, without any drop before."""
    spliced = model.splice([model.visual_tokens(state, selection)], [talk], [selection])
    start, entering = spliced.image_start[0], {}

    def record(index, hidden_states, position_ids):
        entering[index] = hidden_states[0]
        return hidden_states, position_ids

    decode(model.llama, spliced.embeds, spliced.position_ids, before_layer=record)
    stop = start + (144 if selection is None else len(selection))
    queries = torch.tensor(query_places(model.tokenizer, talk, query_token)) + stop
    image = slice(start, stop)
    return LlamaView(model.llama, layer, entering[layer], spliced.position_ids[0], image, queries)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("positions", ["contiguous", "original", "stretch"])
def test_a_budget_of_all_tokens_is_the_unpruned_model(model, state, name, positions):
    talk = conversation(["the red circle"])
    everything = plan(model, state, talk, name, 144, positions=positions)
    kept, plain = (model.ground([state], [talk], [s])[0] for s in (everything, None))
    assert torch.equal(kept.logits, plain.logits)
    assert kept.selection.counts == (144,) * 4


@pytest.mark.parametrize(
    ("name", "counts", "average"),
    [
        ("fastv", (144, 16, 16, 16), 48),
        ("pyramiddrop", (144, 36, 9, 2), 47.75),
        ("sparsevlm", (144, 22, 13, 13), 48),
        ("sparsevlm_plus", (144, 22, 13, 13), 48),
        ("ivc_layer_add_on", (144, 16, 16, 16), 48),
        ("layer_reverse", (144, 16, 16, 16), 48),
        ("nuwa", (84, 84, 12, 12), 48),
    ],
)
def test_segment_tells_tokens_per_layer_and_their_average(model, data, name, counts, average):
    image = data[0].image()
    grounding = model.segment(image, ["the red circle", "the large square"], get_pruner(name), 48)
    assert grounding.mask.shape[0] == len(grounding.selections) == 2
    for selection in grounding.selections:
        assert isinstance(selection, LayerTrace)
        assert (selection.counts, selection.average) == (counts, average)
        for more, fewer in zip(selection.layers, selection.layers[1:], strict=False):
            # Recycled tokens, -1, follow the kept ones.
            kept = [i for i in fewer.tolist() if i >= 0]
            assert set(kept) <= set(more.tolist())
            assert fewer.tolist() == sorted(kept) + [-1] * (len(fewer) - len(kept))
        assert torch.equal(selection.indices, selection.layers[-1])
    assert not torch.allclose(
        grounding.logits[:1], model.segment(image, "the red circle").logits, atol=1e-3
    )


@pytest.mark.parametrize(
    "inner", ["fastv", "pyramiddrop", "dart", "sparsevlm_plus", "lvlm_csp_like"]
)
def test_the_add_on_drops_where_the_other_method_does_and_alone_is_that_method(model, state, inner):
    talk = conversation(["the red circle"])
    of = get_pruner(inner, positions="original")
    wanted = [of, *(get_pruner("ivc_layer_add_on", of=of, share=share) for share in (0.0, 0.5))]
    plans = [pruner.select(model.cues(state, talk), 60) for pruner in wanted]
    plain, none, half = (model.ground([state], [talk], [p])[0].selection for p in plans)
    assert plain.counts == half.counts == wanted[2].schedule(60, 144, 4)
    assert all(map(torch.equal, plain.layers, none.layers))
    assert not all(map(torch.equal, plain.layers, half.layers))


@pytest.mark.parametrize("name", METHODS)
def test_an_impossible_budget_is_refused_before_any_work(model, data, name, monkeypatch):
    monkeypatch.setattr(type(model), "encode_image", None)
    with pytest.raises(ValueError, match="the smallest budget is"):
        model.segment(data[0].image(), "the red circle", get_pruner(name), 1)


@torch.inference_mode()
@pytest.mark.parametrize("index", [0, 1, 3])
def test_attention_rows_equal_those_of_the_eager_kernel(model, index):
    generator = torch.Generator().manual_seed(index)
    hidden = torch.randn(1, 30, model.llama.config.hidden_size, generator=generator)
    positions = torch.cat([torch.arange(10), 5 * torch.arange(10) + 10, torch.arange(10) + 80])[
        None
    ]
    layer, found = model.llama.model.layers[index], {}

    def spy(module, query, key, value, mask, **kwargs):
        out, weights = eager_attention_forward(module, query, key, value, mask, **kwargs)
        found.update(weights=weights[0], keys=key[0])
        return out, weights

    mask = torch.full((30, 30), float("-inf")).triu(1)[None, None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "transformers.models.llama.modeling_llama.ALL_ATTENTION_FUNCTIONS.get_interface",
            lambda *_: spy,
        )
        layer(
            hidden,
            attention_mask=mask,
            position_embeddings=model.llama.model.rotary_emb(hidden, positions),
        )
    queries = torch.tensor([29, 12, 0, 21])
    view = LlamaView(model.llama, index, hidden[0], positions[0], slice(10, 20), queries)
    torch.testing.assert_close(
        view.attention(queries), found["weights"][:, queries], atol=1e-5, rtol=1e-5
    )
    assert_near(view.keys(), found["keys"].transpose(0, 1).flatten(1))
    assert_near(view.image_attention(), found["weights"][:, queries, 10:20].mean((0, 1)))


@torch.inference_mode()
def test_angles_that_scores_read_are_not_rounded_to_the_models_number_type(model):
    half = load_model("embedded", device="cpu", dtype="bfloat16")
    hidden, positions = torch.zeros(200, model.llama.config.hidden_size), torch.arange(200)
    rough, fine = (
        LlamaView(
            m.llama, 1, hidden.to(m.dtype), positions, slice(10, 20), torch.tensor([29])
        ).rotary()
        for m in (half, model)
    )
    assert all(map(torch.equal, rough, fine))


@torch.inference_mode()
@pytest.mark.parametrize("query_token", QUERIES)
@pytest.mark.parametrize(("name", "at"), [("fastv", 0), ("pyramiddrop", 1)])
def test_what_is_kept_has_the_most_attention(model, state, name, at, query_token):
    talk = conversation(["the red circle", "the large square"])
    wanted = plan(model, state, talk, name, query_token=query_token)
    trace = model.ground([state], [talk], [wanted])[0].selection
    scores = view_of(model, state, talk, None, at, query_token).image_attention()
    kept = trace.layers[1]
    rest = torch.ones(144, dtype=torch.bool)
    rest[kept] = False
    assert scores[kept].min() >= scores[rest].max()
    assert scores.sum() < 1


def test_query_tokens_are_where_they_are_said_to_be(model):
    tokenizer = model.tokenizer
    for answer in range(len(ANSWERS)):
        talk = conversation(["the red circle", "a cross"], 2, answer)
        ids = tokenizer.encode(full_prompt(talk))
        behind = ids[ids.index(IMAGE_INDEX) + 1 :]
        places = {which: query_places(tokenizer, talk, which) for which in QUERIES}
        assert [behind[p] for p in places["last"]] == [tokenizer.eos_id]
        assert [behind[p + 1] for p in places["seg"]] == [tokenizer.seg_id] * 2
        assert places["mean_text"] == list(range(len(behind)))
        (end,) = places["last_prompt"]
        assert tokenizer.decode(behind[: end + 1]).endswith("segmentation mask. ASSISTANT:")
        assert tokenizer.decode(behind[end + 1 :]).startswith(
            ANSWERS[answer].split()[0].rstrip(".")
        )


# Image, conversation, method and budget.
MIXED = (
    (0, 0, "fastv", 48),
    (1, 1, "pyramiddrop(query_token=seg, positions=original)", 60),
    (2, 2, None, 144),
    (3, 3, "dart", 40),
    (4, 4, "litelvlm", 20),
    (0, 1, "sparsevlm(order=raster, positions=original)", 45),
    (1, 0, "sparsevlm_plus", 70),
    (2, 1, "ivc_prune(layer=1)", 55),
    (2, 2, "ivc_layer_add_on(of=dart)", 55),
    (3, 0, "nuwa", 40),
    (3, 1, "layer_reverse(of=sparsevlm)", 60),
    (0, 0, "lvlm_csp_like", 48),
    (2, 2, "lvlm_csp_like", 90),
)


def talks_of_unequal_length():
    return [
        conversation(["the red circle"]),
        conversation(["the large square", "the cross", "the blue triangle"], 3, 2),
        conversation(["the small yellow circle in the corner"], 8, 3),
        conversation(["the cross"]),
        conversation(["the square"], 2, 4),
    ]


def test_a_mixed_batch_equals_one_by_one(model, data):
    images = [model.encode_image(data[i].image()) for i in range(5)]
    asked = talks_of_unequal_length()
    states, talks = [images[i] for i, *_ in MIXED], [asked[i] for _, i, *_ in MIXED]
    selections = [
        pruner and get_pruner(pruner).select(model.cues(state, talk), budget)
        for state, talk, (_, _, pruner, budget) in zip(states, talks, MIXED, strict=True)
    ]
    together = model.ground(states, talks, selections)
    for i, batched in enumerate(together):
        alone = model.ground([states[i]], [talks[i]], [selections[i]])[0]
        torch.testing.assert_close(batched.logits, alone.logits, atol=2e-4, rtol=1e-4)
        torch.testing.assert_close(batched.seg_state, alone.seg_state, atol=2e-4, rtol=1e-4)
        if isinstance(selections[i], LayerPlan):
            assert all(map(torch.equal, batched.selection.layers, alone.selection.layers))
        else:
            assert batched.selection is selections[i]


@torch.inference_mode()
@pytest.mark.parametrize("positions", ["contiguous", "original", "stretch"])
def test_dropping_before_layer_0_is_selecting_the_same_tokens(model, state, positions):
    talk = conversation(["the red circle", "the large square", "the cross"])
    inside = plan(model, state, talk, "pyramiddrop", 10, layers=(0,), positions=positions)
    dropped = model.ground([state], [talk], [inside])[0]
    kept = dropped.selection
    assert kept.counts == (10,) * 4
    before = Selection.from_indices(kept.indices, 144, positions=positions)
    assert kept.positions.tolist() == before.positions.tolist()
    assert kept.span == before.span
    selected = model.ground([state], [talk], [before])[0]
    assert_near(dropped.logits, selected.logits)
    assert_near(dropped.seg_state, selected.seg_state)


@pytest.mark.parametrize("name", METHODS)
def test_every_query_token_asks_in_every_method(model, state, name):
    talk = conversation(["the red circle", "the large square"], 3, 2)
    plans = [
        plan(model, state, talk, name, query_token=which, **DEPTH.get(name, {}))
        for which in QUERIES
    ]
    kept = [outcome.selection for outcome in model.ground([state] * 4, [talk] * 4, plans)]
    assert len({selection.counts for selection in kept}) == 1
    choices = {
        tuple(map(tuple, (layer.tolist() for layer in selection.layers))) for selection in kept
    }
    # DART ranks by keys alone; two tokens may agree on a few.
    assert len(choices) == 1 if name == "dart" else len(choices) >= 3


@torch.inference_mode()
def test_nuwas_first_stage_reaches_the_language_model_and_the_second_drops_by_attention(
    model, state
):
    talk = conversation(["the red circle"])
    wanted = plan(model, state, talk, "nuwa", 16)
    traced = model.ground([state], [talk], [wanted])[0].selection
    # round(7 / 4 * 16) = 28 anchors in two layers, 4 in the others.
    assert traced.counts == (28, 28, 4, 4)
    assert traced.average == 16
    assert torch.equal(traced.layers[0], wanted.indices)
    assert set(traced.indices.tolist()) <= set(wanted.indices.tolist())
    # Original positions; the books of the first stage are those of what entered.
    assert torch.equal(traced.positions[0], traced.indices)
    assert traced.sources[1:] == (None, None, None)
    assert torch.equal(traced.sources[0], wanted.source)
    # What leaves the first stage alone is what a selection of these tokens is.
    view = view_of(model, state, talk, wanted, 1, "last_prompt")
    assert traced.indices.tolist() == wanted.indices[view.most_attended(4)].tolist()


@torch.inference_mode()
@pytest.mark.parametrize("n_turns", [1, 3])
@pytest.mark.parametrize("name", METHODS)
def test_seg_states_are_read_where_their_tokens_went(model, state, name, n_turns):
    talk = conversation(["the red circle", "the large square", "the cross"][:n_turns], 1, 2)
    wanted = plan(model, state, talk, name, **DEPTH.get(name, {}))
    grounding = model.ground([state], [talk], [wanted])[0]
    seen = []
    spliced, dropping, hidden = decode_dropping(
        model, state, talk, wanted, lambda _, row, *states: seen.append((row.image, states[1]))
    )
    # Every token's place before dropping travels along: the last layer shows where each one went.
    start, places = spliced.image_start[0], torch.arange(spliced.lengths[0])
    for image, after in seen:
        # Visual tokens by their place among those that entered.
        image = torch.searchsorted(wanted.indices, image) + start
        places = torch.cat([torch.arange(start), image, places[places >= start + len(wanted)]])
        assert len(places) == len(after)
    final = [places.tolist().index(place) for place in spliced.seg_index[0]]
    assert dropping.shifted(spliced.seg_index) == [final]
    assert_near(grounding.seg_state, hidden[final])
    assert grounding.logits.shape[0] == n_turns


@torch.inference_mode()
@pytest.mark.parametrize("positions", ["contiguous", "original"])
def test_positions_after_a_drop_follow_the_policy(model, state, positions):
    talk = conversation(["the red circle"])
    wanted = plan(model, state, talk, "pyramiddrop", positions=positions)
    seen = []
    spliced, dropping, _ = decode_dropping(
        model, state, talk, wanted, lambda _, row, *states: seen.append((row.image, states[2]))
    )
    start, behind = spliced.image_start[0], spliced.lengths[0] - spliced.image_start[0] - 144
    for image, moved in seen:
        offsets = image.tolist() if positions == "original" else list(range(len(image)))
        span = 144 if positions == "original" else len(image)
        text = [start + span + i for i in range(behind)]
        assert moved.tolist() == [*range(start), *(start + i for i in offsets), *text]
    assert dropping.outcomes()[0].counts == (144, 36, 9, 2)
