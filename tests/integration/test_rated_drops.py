"""SparseVLM inside the shipped model: who rates, what recycled tokens are, and where they stand."""

from dataclasses import dataclass

import pytest
import torch

from litelvlm import get_pruner
from litelvlm.models.glamm.language.layer_pruning import LayerDropping
from litelvlm.pruning.layers.state import text_raters
from litelvlm.pruning.methods.sparsevlm import SparseVLM
from tests.glamm_parts import conversation, decode

SEEN = []


@dataclass(frozen=True, kw_only=True)
class Watched(SparseVLM):
    """SparseVLM that shows what each drop left."""

    def reduce(self, scored, entering, count):
        kept = super().reduce(scored, entering, count)
        SEEN.append((entering, kept))
        return kept


def run(model, state, pruner, talk, watch, budget=48):
    """Decode under a plan while ``watch`` sees every layer.

    It is called as ``watch(index, dropping, before, after, positions)``.
    """
    wanted = pruner.select(model.cues(state, talk), budget)
    spliced = model.splice([model.visual_tokens(state, None)], [talk], [wanted])
    dropping = LayerDropping(
        model.llama, model.tokenizer, [talk], [wanted], spliced.image_start, spliced.lengths
    )

    def follow(index, hidden_states, position_ids):
        out, moved = dropping(index, hidden_states, position_ids)
        watch(index, dropping.sequences[0], hidden_states[0], out[0], moved[0])
        return out, moved

    decode(model.llama, spliced.embeds, spliced.position_ids, before_layer=follow)
    return spliced, dropping


@torch.inference_mode()
def test_raters_are_chosen_from_the_embeddings_and_keep_asking(model, state):
    asked = []
    talk = conversation(["the red circle"])
    spliced, _ = run(
        model,
        state,
        get_pruner("sparsevlm"),
        talk,
        lambda index, row, *_: asked.append(row.queries.tolist()),
    )
    start = spliced.image_start[0]
    embeds = spliced.embeds[0]
    raters = text_raters(embeds[start : start + 144], embeds[start + 144 :]).tolist()
    assert asked == [raters] * 4
    assert 0 < len(raters) < len(embeds) - start - 144


@torch.inference_mode()
@pytest.mark.parametrize("name", ["fastv", "pyramiddrop"])
def test_raters_may_ask_for_every_method(model, state, name):
    talk = conversation(["the red circle"])
    traces = [
        model.ground(
            [state],
            [talk],
            [get_pruner(name, query_token=token).select(model.cues(state, talk), 60)],
        )[0].selection
        for token in ("raters", "seg")
    ]
    assert traces[0].counts == traces[1].counts
    assert traces[0].indices.tolist() != traces[1].indices.tolist()


@torch.inference_mode()
@pytest.mark.parametrize(
    ("order", "positions"),
    [("native", "contiguous"), ("native", "original"), ("raster", "original")],
)
def test_recycled_tokens_are_averages_at_their_centres_place(model, state, order, positions):
    SEEN.clear()
    drops = []

    def watch(index, row, before, after, moved):
        if len(after) < len(before):
            drops.append((before, after, moved, row.image, row.places))

    spliced, dropping = run(
        model,
        state,
        Watched(order=order, positions=positions),
        conversation(["the red circle"]),
        watch,
    )
    start = spliced.image_start[0]
    assert len(drops) == len(SEEN) == 2
    was = torch.arange(144)
    for (before, after, moved, image, places), (view, kept) in zip(drops, SEEN, strict=True):
        visual = before[view.image]
        wanted = torch.cat([visual[kept.places], kept.weights @ visual])
        stands = torch.cat([was[kept.places], was[kept.stand_for]])
        turn = (
            torch.argsort(stands, stable=True) if order == "raster" else torch.arange(len(stands))
        )
        torch.testing.assert_close(after[start : start + len(stands)], wanted[turn])
        assert torch.equal(after[:start], before[:start])
        assert torch.equal(after[start + len(stands) :], before[view.image.stop :])
        assert places.tolist() == stands[turn].tolist()
        assert int((image == -1).sum()) >= len(kept.weights) > 0
        at = places if positions == "original" else torch.arange(len(places))
        span = 144 if positions == "original" else len(places)
        assert moved[start : start + len(places)].tolist() == (start + at).tolist()
        assert moved[start + len(places)].item() == start + span
        was = places
    trace = dropping.outcomes()[0]
    assert trace.counts == (144, 22, 13, 13)
    assert [source is None for source in trace.sources] == [True, False, False, True]
    for (before, after, *_), (view, _), source in zip(drops, SEEN, trace.sources[1:3], strict=True):
        visual, entered = before[view.image], after[start : start + len(source)]
        made = source.count_nonzero(dim=1) > 1
        # Rows add up to 1; the same product gives the same bits, and kept tokens are copies.
        torch.testing.assert_close(source.sum(dim=1), torch.ones(len(source)))
        assert made.any()
        assert torch.equal((source @ visual)[made], entered[made])
        assert torch.equal(visual[source[~made].argmax(dim=1)], entered[~made])
    assert trace.positions[0].tolist() == (
        was.tolist() if positions == "original" else list(range(13))
    )
