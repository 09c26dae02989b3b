"""Many passes over one image that share computations give what the plain path gives."""

import dataclasses
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from litelvlm import get_pruner
from litelvlm.analysis.api import complete_run, read_record, read_rows
from litelvlm.analysis.studies import sweep
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.analysis.studies.sweep.rows import image_rows, load
from litelvlm.models.base import Request
from litelvlm.models.glamm.batched import grounder as shared
from litelvlm.models.glamm.batched import passes
from litelvlm.models.glamm.batched.grounder import SharedGrounder
from litelvlm.models.glamm.batched.prefix import prefix_states, read_states
from litelvlm.models.glamm.masks import masker
from litelvlm.models.glamm.masks.masker import low_resolution_masks, read_logits, upscale
from litelvlm.models.glamm.masks.shared import masks_of_image
from litelvlm.models.requests import BatchGrounder, out_of_memory
from litelvlm.pruning.cue_table import OF_IMAGE
from tests.glamm_parts import conversation, decode

# Largest difference of mask logits, which span about 40, that another order of additions makes in
# float32.
LOGITS = 1e-3


def requests_of(model, state, sample, methods, budgets):
    """Every method at every budget for the first two expressions, and both in one conversation."""
    talks = [conversation([e.sent]) for e in sample.expressions[:2]]
    talks.append(conversation([e.sent for e in sample.expressions[:2]], [1, 3], [0, 2]))
    asked = []
    for talk in talks:
        cues = model.cues(state, talk, key=int(sample.image_id))
        asked.append(Request(talk, None))
        asked += [
            Request(talk, get_pruner(name, **o).select(cues, k))
            for name, o in methods
            for k in budgets
        ]
    return asked


METHODS = (
    ("litelvlm", {}),
    ("random", {"positions": "original"}),
    ("random", {"positions": "stretch"}),
    ("avgpool", {}),
    ("visionzip", {}),
    ("fastv", {}),
    ("pyramiddrop", {"query_token": "seg"}),
)


def answer(grounder, state, requests):
    """Logits in the order of the requests."""
    found = [None] * len(requests)
    for answered in grounder(state, requests):
        for same, logits in zip(answered.places, answered.logits, strict=True):
            for place in same:
                assert found[place] is None
                found[place] = logits
    return found


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_shared_passes_equal_single_passes(model, state, data, batch_size):
    requests = requests_of(model, state, data[0], METHODS, (50, 48))
    found = answer(SharedGrounder(model, batch_size), state, requests)
    for request, logits in zip(requests, found, strict=True):
        (single,) = model.ground([state], [request.conversation], [request.selection])
        assert logits.shape == single.logits.shape
        assert (logits - single.logits).abs().max() < LOGITS


def test_passes_that_are_the_same_computation_run_once(model, state, data, monkeypatch):
    talk = conversation([data[0].expressions[0].sent])
    cues = model.cues(state, talk, key=1)
    # With one text the paper's method keeps exactly the lowest similarities, in raster order.
    selections = [
        get_pruner(name).select(cues, 16)
        for name in ("litelvlm", "low_similarity", "high_similarity")
    ]
    decoded = []
    plain = masker.masks_of_image

    def counting(sam, image, prompts, extent):
        decoded.append(len(prompts))
        return plain(sam, image, prompts, extent)

    monkeypatch.setattr(masker, "masks_of_image", counting)
    (answered,) = SharedGrounder(model)(
        state, [Request(talk, selection) for selection in selections]
    )
    assert answered.places == ((0, 1), (2,))
    assert decoded == [2]


@torch.inference_mode()
def test_a_shared_prefix_gives_the_states_of_the_whole_prompt(model):
    generator = torch.Generator().manual_seed(0)
    ids = torch.tensor([1, 284, 376, 385, 259])
    behind = torch.randn(3, 7, model.llama.config.hidden_size, generator=generator)
    positions = torch.tensor(
        [[5, 6, 7, 8, 9, 10, 11], [5, 7, 9, 11, 12, 13, 14], [5, 6, 9, 9, 10, 11, 12]]
    )
    reads = torch.tensor([[6, 3], [2, 5], [4, 4]])
    embeds = model.llama.model.embed_tokens(ids)[None]
    prefix = prefix_states(model.llama, embeds, torch.arange(5)[None])
    got = read_states(model.llama, prefix, behind, positions, reads)
    before = embeds.expand(3, -1, -1)
    whole = torch.cat([before, behind], dim=1)
    places = torch.cat([torch.arange(5).expand(3, -1), positions], dim=1)
    expected = decode(model.llama, whole, places)[torch.arange(3)[:, None], reads + 5]
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    # Two of the three beginnings go on alike for two tokens, the other one by itself: 0, 1, 0.
    behind[2, :2], positions[2, :2] = behind[0, :2], positions[0, :2]
    whole = torch.cat([before, behind], dim=1)
    expected = decode(
        model.llama, whole, torch.cat([torch.arange(5).expand(3, -1), positions], dim=1)
    )
    longer = prefix_states(model.llama, behind[:2, :2], positions[:2, :2], prefix)
    own = longer.for_passes(torch.tensor([0, 1, 0]))
    got = read_states(model.llama, own, behind[:, 2:], positions[:, 2:], torch.full((3, 1), 4))
    torch.testing.assert_close(got[:, 0], expected[:, -1], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_masks_of_one_image_equal_those_of_the_decoder(model, state):
    width = model.sam.config.mask_decoder_config.hidden_size
    prompts = torch.randn(5, width, generator=torch.Generator().manual_seed(1))
    expected = low_resolution_masks(model.sam, state.sam_embeddings, prompts[None, :, None])[0]
    torch.testing.assert_close(
        masks_of_image(model.sam, state.sam_embeddings, prompts), expected, atol=LOGITS, rtol=0
    )


@torch.inference_mode()
def test_logits_of_the_padding_are_not_needed(model, state):
    generator = torch.Generator().manual_seed(2)
    prompts = torch.randn(3, model.sam.config.mask_decoder_config.hidden_size, generator=generator)
    whole = masks_of_image(model.sam, state.sam_embeddings, prompts)
    part = masks_of_image(model.sam, state.sam_embeddings, prompts, (5, 3))
    torch.testing.assert_close(part, whole[:, :20, :12], atol=1e-5, rtol=0)
    side, size = whole.shape[-1], model.sam_image_size
    for resized in ((size, size), (size, size // 2 + 3), (size // 3, size), (1, 1)):
        rows, columns = (read_logits(length, side, size) for length in resized)
        cut = upscale(whole[:, :rows, :columns], resized, (50, 41), size, side)
        # The plain way: the whole square, cut, resized.
        square = F.interpolate(whole[None], (size, size), mode="bilinear")
        square = square[..., : resized[0], : resized[1]]
        expected = F.interpolate(square, (50, 41), mode="bilinear")[0]
        torch.testing.assert_close(cut, expected, atol=1e-4, rtol=0)
        assert cut.is_contiguous()


# --- memory ---------------------------------------------------------------------------------------


def starved(model, monkeypatch, most):
    """A grounder whose decoder has memory for ``most`` passes at once."""
    grounder = SharedGrounder(model, 8)
    plain = grounder._logits

    def logits(state, projected, jobs, prompts, begun):
        if len(jobs) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return plain(state, projected, jobs, prompts, begun)

    monkeypatch.setattr(grounder, "_logits", logits)
    return grounder


def test_out_of_memory_halves_the_batch_and_loses_nothing(model, state, data, monkeypatch):
    requests = requests_of(model, state, data[0], METHODS[:2], (48, 16, 8))
    grounder = starved(model, monkeypatch, 1)
    found = answer(grounder, state, requests)
    assert grounder.batch_size == 1
    assert grounder.notes == [
        f"out of memory; batches of {size} from there on" for size in (4, 2, 1)
    ]
    expected = answer(SharedGrounder(model, 64), state, requests)
    assert max((a - b).abs().max() for a, b in zip(found, expected, strict=True)) < LOGITS


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_any_family_halves_the_batch_and_loses_nothing(model, state, data, error):
    every = requests_of(model, state, data[0], METHODS[:2], (48, 16))
    requests = [one for one in every if len(one.conversation.expressions) == 1]
    asked = []

    def ground(states, *given):
        if len(states) > 1:
            raise error
        asked.append(given)
        return model.ground(states, *given)

    grounder = BatchGrounder(ground, 5)
    found = answer(grounder, state, requests)
    assert (grounder.batch_size, len(asked)) == (1, len(requests))
    assert grounder.notes == [f"out of memory; batches of {size} from there on" for size in (2, 1)]
    expected = answer(BatchGrounder(model.ground, 64), state, requests)
    assert max((a - b).abs().max() for a, b in zip(found, expected, strict=True)) < LOGITS


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("sizes do not match")])
def test_what_half_a_batch_does_not_mend_is_an_error(model, state, data, error):
    def ground(*_):
        raise error

    size = 1 if isinstance(error, MemoryError) else 8
    with pytest.raises(type(error)):
        next(
            BatchGrounder(ground, size)(
                state, requests_of(model, state, data[0], METHODS[:1], (8,))
            )
        )


def test_a_single_pass_that_does_not_fit_is_an_error(model, state, data, monkeypatch):
    requests = requests_of(model, state, data[0], METHODS[:1], (8,))
    with pytest.raises(torch.OutOfMemoryError):
        list(starved(model, monkeypatch, 0)(state, requests))


def test_only_lack_of_memory_counts_as_such(model, state, data, monkeypatch):
    assert out_of_memory(
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to ...")
    )
    assert out_of_memory(MemoryError())
    grounder = SharedGrounder(model, 8)

    def broken(*_):
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(grounder, "_logits", broken)
    with pytest.raises(RuntimeError, match="sizes"):
        list(grounder(state, requests_of(model, state, data[0], METHODS[:1], (8,))))
    assert grounder.batch_size == 8


# --- the sweep on it ------------------------------------------------------------------------------

CONFIG = sweep.Config(
    methods=("litelvlm", "visionzip", "fastv(layer=1)"), budgets=(48, 8), limit=2, chunk_size=1
)


def test_sweep_rows_do_not_depend_on_the_batch_and_equal_single_calls(model, data, tmp_path):
    folder = complete_run(sweep.STUDY, model, data, CONFIG, tmp_path)
    rows = read_rows(folder)
    batched = CONFIG.model_copy(update={"batch_size": 3})
    small = read_rows(complete_run(sweep.STUDY, model, data, batched, tmp_path))
    pixels = ["inter_px", "union_px", "pred_px"]
    others = [name for name in rows if name not in (*pixels, "iou")]
    pd.testing.assert_frame_equal(rows[others], small[others])
    # A logit within float noise of 0 may fall on the other side: at most one pixel in ten thousand.
    assert (rows[pixels] - small[pixels]).abs().to_numpy().max() <= 3
    assert read_record(folder).excluded == SweepContext(model, data, CONFIG, (48, 8)).excluded != ()
    sample = data[0]
    for expression in sample.expressions[:2]:
        single = model.segment(sample.image(), expression.sent, get_pruner("visionzip"), budget=8)
        row = rows[
            (rows.sent_id == expression.sent_id) & (rows.method == "visionzip") & (rows.budget == 8)
        ].iloc[0]
        assert abs(int(single.mask.sum()) - row.pred_px) <= 3


def test_one_sentence_for_two_objects_is_held_against_each(model, data):
    context = SweepContext(model, data, CONFIG, (48,))
    loaded = load(context, 0)
    first = 0
    other = next(i for i, mask in enumerate(loaded.masks) if (mask != loaded.masks[first]).any())
    chosen = [first, other]
    expressions = [loaded.sample.expressions[i] for i in chosen]
    expressions[1] = dataclasses.replace(expressions[1], sent=expressions[0].sent)
    doubled = dataclasses.replace(
        loaded,
        sample=dataclasses.replace(loaded.sample, expressions=tuple(expressions)),
        masks=loaded.masks[chosen],
        coverage=loaded.coverage[chosen],
        keys=tuple(loaded.keys[i] for i in chosen),
    )
    rows = pd.DataFrame(image_rows(context, doubled).rows).set_index(["sent_id", "method"])
    predicted = model.segment(loaded.clip[0], expressions[0].sent).mask[0].numpy()
    for number, expression in enumerate(expressions):
        row = rows.loc[(expression.sent_id, "none")]
        assert row.pred_px == predicted.sum()
        assert row.inter_px == (predicted & (doubled.masks[number] == 1)).sum()
    assert rows.xs("none", level="method").inter_px.nunique() == 2


def test_a_kernel_without_explicit_masks_takes_the_plain_loop(model, state, data, monkeypatch):
    requests = requests_of(model, state, data[0], METHODS[:1], (8,))
    monkeypatch.setattr(shared, "KERNELS", ())
    monkeypatch.setattr(passes, "read_states", SimpleNamespace())
    found = answer(SharedGrounder(model), state, requests)
    (single,) = model.ground([state], [requests[1].conversation], [requests[1].selection])
    assert (found[1] - single.logits).abs().max() < LOGITS


def test_what_counts_as_the_images_is_the_same_for_every_text(model, state, data):
    one, other = (
        model.cues(state, conversation([expression.sent])) for expression in data[0].expressions[:2]
    )
    # GLaMM offers the cues of CLIP themselves, not what replaces them in models without CLIP.
    for name in sorted(OF_IMAGE - {"received_attention", "tower_value_norm"}):
        assert torch.equal(one.get(name), other.get(name)), name
    for name in ("text_embeds", "llm_attention", "llm_prompt_attention"):
        assert not torch.equal(one.get(name), other.get(name)), name
