"""Rows of one image of a sweep: data read ahead, states computed once, masks counted on device."""

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from litelvlm.analysis.inputs.samples import (
    NOT_DRAWN,
    askable,
    key_columns,
    label_columns,
    naming,
    view_of,
)
from litelvlm.analysis.runs.columns import EXPRESSION, LABELS, Column, Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.studies.sweep.counted import Counted
from litelvlm.analysis.studies.sweep.loaded import Loaded
from litelvlm.analysis.studies.sweep.passes import (
    Chosen,
    Pass,
    PlannedConversation,
    SweepContext,
    SweepQuery,
    plan_conversations,
)
from litelvlm.metrics import TargetPixels, scored_target
from litelvlm.models.base import Request, VisualState
from litelvlm.models.requests import places_by_target

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    Column("protocol", str, "How expressions are put into conversations."),
    Column("method", str, "Label of the pruning method; 'unpruned' keeps every token."),
    Column("budget", int, "Visual tokens asked for; a share is that of the image with fewest."),
    Column("seed", int, "Draw of a random method, or of the official protocol."),
    Column("n_kept", int, "Visual tokens that enter the language model."),
    Column("n_ctx", int, "Of these, tokens that the method keeps as context."),
    Column("n_average", float, "Visual tokens per layer, mean over the layers."),
    Column("inter_px", int, "Pixels in prediction and target."),
    Column("union_px", int, "Pixels in either."),
    Column("pred_px", int, "Predicted pixels."),
    Column("target_px", int, "Target pixels."),
    Column("iou", float, "Intersection over union, 0 to 1; 1 where both are empty."),
    Column("same_inter_px", int, "Pixels in this prediction and in that of the unpruned model."),
    Column("same_union_px", int, "Pixels in either of the two."),
    Column("agreement", float, "Their intersection over union, 0 to 1; 1 where both are empty."),
    Column("seg_found", bool, "The answer holds a [SEG]."),
    Column("p50", bool, "The IoU reaches 0.5."),
    Column("p70", bool, "The IoU reaches 0.7."),
    Column("p90", bool, "The IoU reaches 0.9."),
)

HITS = (0.5, 0.7, 0.9)
"""IoU at which an expression counts as found."""


def load(context: SweepContext, index: int) -> Loaded:
    """Read one clip with its masks; runs no model, so it can work ahead of the model.

    Of a clip of several frames no picture is read yet.
    """
    sample, skipped = askable(context.data[index])
    view, clip = view_of(context.model, sample), sample.clip
    masks, coverage, keys = [], [], []
    for expression in sample.expressions:
        with naming(sample, expression):
            given = sample.masks(expression)
            plain = (given > 0).astype(np.uint8)
            masks.append(scored_target(given, context.config.doubled))
            coverage.append(view.coverage(plain))
            found = key_columns(context.data, sample, expression, plain, view)
            keys.append(found | label_columns(coverage[-1]))
    targets = np.array(masks, dtype=np.uint8).reshape(-1, len(clip), sample.height, sample.width)
    read = clip[:] if len(clip) == 1 else clip
    return Loaded(sample, read, targets, np.array(coverage), tuple(keys), skipped)


@torch.inference_mode()
def image_rows(
    context: SweepContext, loaded: Loaded, state: VisualState | None = None
) -> ItemResult:
    """Rows of one image: every conversation under every method, budget and seed.

    Args:
        context: Of the run.
        loaded: The image as read from disk.
        state: The encoded image, where it is known; it is encoded if left out.
    """
    model, sample = context.model, loaded.sample
    if not sample.expressions:
        return ItemResult([], loaded.skipped)
    state = model.encode_clip(loaded.clip) if state is None else state
    conversations = plan_conversations(model, context.config, sample)
    passes, chosen = list[Pass](), Chosen()
    for number, planned in enumerate(conversations):
        with naming(sample, sample.expressions[planned.turns[0]]):
            # An oracle that serves several expressions with one selection knows the union of their
            # masks.
            truth = torch.from_numpy(loaded.coverage[list(planned.turns)].max(axis=0)).float()
            key = int(sample.image_id)
            cues = model.cues(state, planned.conversation, coverage=truth, key=key)
            passes += context.passes(SweepQuery(loaded, state, number, planned, cues, chosen))
    # The pixels of a clip are counted over all its frames, as if they lay one below the other.
    targets = TargetPixels.of(torch.from_numpy(loaded.masks).flatten(1, 2).to(model.device))
    found: list[list[Row]] = [[] for _ in passes]
    noted, whole = len(context.grounder.notes), dict[int, Bool[Tensor, "t h w"]]()
    # Unpruned passes come first: every other mask is compared with theirs.
    unpruned = [place for place, made in enumerate(passes) if made.selection is None]
    for wave in (unpruned, sorted(set(range(len(passes))) - set(unpruned))):
        requests = [
            Request(conversations[passes[i].number].conversation, passes[i].selection) for i in wave
        ]
        for batch in context.grounder(state, requests):
            answered = places_by_target(
                [[wave[i] for i in same] for same in batch.places],
                lambda place: conversations[passes[place].number].turns,
            )
            answers, turns = zip(*answered, strict=True)
            masks = batch.masks[list(answers)]
            for row, same in enumerate(answered.values()):
                whole |= {passes[i].number: masks[row] for i in same if passes[i].selection is None}
            references = [whole[passes[same[0]].number] for same in answered.values()]
            with naming(sample, sample.expressions[turns[0][0]]):
                counts = targets.rows(torch.tensor(turns, device=model.device)).counted(masks)
                agreed = TargetPixels.of_masks(torch.stack(references)).counted(masks)
            numbers, shared = Counted.of(counts), Counted.of(agreed)
            for row, same in enumerate(answered.values()):
                for place in same:
                    found[place] = turn_rows(
                        context, loaded, conversations, passes[place], numbers, shared, row
                    )
    notes = tuple(f"image {sample.image_id}: {note}" for note in context.grounder.notes[noted:])
    drawn_places = {place for planned in conversations for place in planned.turns}
    skipped = (*loaded.skipped, *[NOT_DRAWN] * (len(sample.expressions) - len(drawn_places)))
    return ItemResult([row for rows in found for row in rows], skipped, notes)


def turn_rows(
    context: SweepContext,
    loaded: Loaded,
    conversations: list[PlannedConversation],
    made: Pass,
    counts: Counted,
    shared: Counted,
    row: int,
) -> list[Row]:
    """Rows of one pass, one per expression of its conversation.

    Columns besides the keys: what was asked for (protocol, method, budget, seed), tokens that
    entered the language model (n_kept), those that the method calls context (n_ctx), tokens per
    layer (n_average), pixels, IoU, whether it reaches 0.5, 0.7 and 0.9, agreement with the unpruned
    mask, and whether the answer held a [SEG], which forced ones do.

    Args:
        context: Of the run.
        loaded: The image.
        conversations: About the image.
        made: The pass.
        counts: Pixels against the true masks, one row per pass of the batch.
        shared: Pixels against the masks of the unpruned model, likewise.
        row: Of the pass.
    """
    rows, roles = [], (made.selection.roles or ()) if made.selection is not None else ()
    for turn, place in enumerate(conversations[made.number].turns):
        intersection, union, predicted, target = counts.pixels[row][turn]
        reached = counts.iou[row][turn]
        both, either, _, _ = shared.pixels[row][turn]
        rows.append(
            loaded.keys[place]
            | {
                "protocol": context.config.protocol,
                "method": made.method,
                "budget": made.budget,
                "seed": made.seed,
                "n_kept": made.n_kept,
                "n_ctx": roles.count("context"),
                "n_average": made.n_average,
                "inter_px": intersection,
                "union_px": union,
                "pred_px": predicted,
                "target_px": target,
                "iou": reached,
                "same_inter_px": both,
                "same_union_px": either,
                "agreement": shared.iou[row][turn],
                "seg_found": True,
            }
            | {f"p{round(100 * threshold)}": reached >= threshold for threshold in HITS}
        )
    return rows
