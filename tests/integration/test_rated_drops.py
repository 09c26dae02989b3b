"""SparseVLM inside the shipped model: who rates, what recycled tokens are, and where they stand."""

from dataclasses import dataclass

import pytest
import torch
from layer_drops import decode_dropping

from litelvlm import get_pruner
from litelvlm.pruning.layers.state import text_raters
from litelvlm.pruning.methods.sparsevlm import SparseVLM
from tests.glamm_parts import conversation

SEEN = []


@dataclass(frozen=True, kw_only=True)
class Watched(SparseVLM):
    """SparseVLM that shows what each drop left."""

    def reduce(self, scored, entering, count):
        kept = super().reduce(scored, entering, count)
        SEEN.append((entering, kept))
        return kept


@torch.inference_mode()
def test_raters_are_chosen_from_the_embeddings_and_keep_asking(model, state):
    asked = []
    talk = conversation(["the red circle"])
    plan = get_pruner("sparsevlm").select(model.cues(state, talk), 48)
    spliced, *_ = decode_dropping(
        model, state, talk, plan, lambda _, row, *states: asked.append(row.queries.tolist())
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
    cues = model.cues(state, talk)
    plans = [get_pruner(name, query_token=asks).select(cues, 60) for asks in ("raters", "seg")]
    traces = [model.ground([state], [talk], [plan])[0].selection for plan in plans]
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

    talk = conversation(["the red circle"])
    plan = Watched(order=order, positions=positions).select(model.cues(state, talk), 48)
    spliced, dropping, _ = decode_dropping(model, state, talk, plan, watch)
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
