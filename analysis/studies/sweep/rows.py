"""Rows of one image of a sweep: data read ahead, states computed once, masks counted on device."""

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from litelvlm.analysis.inputs.samples import (
    NO_OUTLINE,
    NOT_DRAWN,
    askable,
    key_columns,
    label_columns,
    naming,
    view_of,
    without_outline,
)
from litelvlm.analysis.runs.columns import CONDITION, EXPRESSION, LABELS, Column, Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.stats.ends import POSITIVE
from litelvlm.analysis.studies.scores import SCORE_COLUMNS, count_masks
from litelvlm.analysis.studies.sweep.matching import MatchedMasks, annotators, cell_of
from litelvlm.analysis.studies.sweep.passes import (
    Chosen,
    Loaded,
    Pass,
    SweepContext,
    SweepQuery,
    plan_conversations,
)
from litelvlm.data.dataset import Expression
from litelvlm.metrics import TargetPixels, object_pixels, scored_target
from litelvlm.models.base import Request, VisualState
from litelvlm.models.requests import places_by_target

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    Column("protocol", str, "How expressions are put into conversations.", CONDITION),
    Column("method", str, "Label of the pruning method; 'none' keeps every token.", CONDITION),
    Column(
        "budget",
        int,
        "Visual tokens asked for; a share is that of the image with fewest.",
        CONDITION,
    ),
    Column("seed", int, "Draw of a random method, or of the official protocol.", CONDITION),
    Column("n_kept", int, "Visual tokens that enter the language model.", POSITIVE),
    Column("n_ctx", int, "Of these, tokens that the method keeps as context.", POSITIVE),
    Column("n_average", float, "Visual tokens per layer, mean over the layers.", POSITIVE),
    *SCORE_COLUMNS,
)


def load(context: SweepContext, index: int) -> Loaded:
    """Read one clip with its masks; runs no model, so it can work ahead of the model.

    Of a clip of several frames no picture is read yet. Expressions whose objects have no pixel are
    left out and counted, in every protocol.
    """
    sample, skipped = askable(context.data[index])
    view, clip = view_of(context.model, sample), sample.clip
    shape = len(sample.expressions), len(clip), sample.height, sample.width
    targets, coverage, keys = np.empty(shape, dtype=np.uint8), [], []
    outlined = list[Expression]()
    for expression in sample.expressions:
        with naming(sample, expression):
            given = sample.masks(expression)
            plain = object_pixels(given).astype(np.uint8)
            if without_outline(sample, expression, plain):
                continue
            targets[len(outlined)] = scored_target(given, context.config.doubled)
            coverage.append(view.coverage(plain))
            found = key_columns(context.data, sample, expression, plain, view)
            keys.append(found | label_columns(coverage[-1]))
            outlined.append(expression)
    skipped += (NO_OUTLINE,) * (len(sample.expressions) - len(outlined))
    return Loaded(
        sample.with_expressions(outlined),
        clip[:] if len(clip) == 1 else clip,
        targets[: len(outlined)],
        np.array(coverage),
        tuple(keys),
        skipped,
        tuple(annotators(outlined)),
    )


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
    model, sample, config = context.model, loaded.sample, context.config
    if not sample.expressions:
        return ItemResult([], loaded.skipped)
    state = model.encode_clip(loaded.clip) if state is None else state
    conversations = plan_conversations(model, config, sample)
    passes, chosen = list[Pass](), Chosen()
    for number, planned in enumerate(conversations):
        with naming(sample, sample.expressions[planned.turns[0]]):
            # An oracle that serves several expressions with one selection knows the union of their
            # masks.
            truth = torch.from_numpy(loaded.coverage[list(planned.turns)].max(axis=0)).float()
            cues = model.cues(state, planned.conversation, coverage=truth, key=sample.key)
            passes += context.passes(SweepQuery(loaded, state, number, planned, cues, chosen))
    targets = TargetPixels.of(torch.from_numpy(loaded.masks).to(model.device))
    found: list[list[Row]] = [[] for _ in passes]
    matching = MatchedMasks(loaded)
    noted, whole = len(context.grounder.notes), dict[int, Bool[Tensor, "t f h w"]]()
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
            masks, has_seg = batch.masks[list(answers)], [batch.found[i] for i in answers]
            for row, same in enumerate(answered.values()):
                whole |= {passes[i].number: masks[row] for i in same if passes[i].selection is None}
            references = [whole[passes[same[0]].number] for same in answered.values()]
            asked = targets.rows(torch.tensor(turns, device=model.device))
            with naming(sample, sample.expressions[turns[0][0]]):
                together = torch.stack(references)
                by_frame = context.longest > 1
                counts = count_masks(masks, asked, together, has_seg, by_frame)
            for of_pass, same, predicted in zip(counts, answered.values(), masks, strict=True):
                for place in same:
                    own_turns = conversations[passes[place].number].turns
                    asked_of = pass_columns(config.protocol, passes[place])
                    found[place] = [
                        loaded.keys[at] | asked_of | row
                        for at, row in zip(own_turns, of_pass, strict=True)
                    ]
                    for at, mask in zip(own_turns, predicted, strict=True):
                        matching.add(passes[place], at, mask)
    matched = matching.columns()
    for made, rows in zip(passes, found, strict=True):
        for at, own in zip(conversations[made.number].turns, rows, strict=True):
            own |= matched.get((cell_of(made), at), {})
    notes = tuple(f"image {sample.image_id}: {note}" for note in context.grounder.notes[noted:])
    drawn_places = {place for planned in conversations for place in planned.turns}
    skipped = (*loaded.skipped, *[NOT_DRAWN] * (len(sample.expressions) - len(drawn_places)))
    return ItemResult([row for rows in found for row in rows], skipped, notes)


def pass_columns(protocol: str, made: Pass) -> Row:
    """What the rows of one pass share."""
    roles = (made.selection.roles or ()) if made.selection is not None else ()
    return {
        "protocol": protocol,
        "method": made.method,
        "budget": made.budget,
        "seed": made.seed,
        "n_kept": made.n_kept,
        "n_ctx": roles.count("context"),
        "n_average": made.n_average,
    }
