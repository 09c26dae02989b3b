"""What the explorer shows of one expression: tokens, scores, masks and text attention.

The model that made the run computes everything again, for a few expressions only.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
import torch

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.pages.explore.pack import pack_bits, pack_levels, pack_mask, pack_picture
from litelvlm.analysis.pages.explore.scores import pack_scores, token_scores
from litelvlm.analysis.signals.word_attention import word_attention
from litelvlm.analysis.studies.sweep.examples import largest_budget_scores, query_example
from litelvlm.analysis.studies.sweep.passes import SweepContext, expression_passes
from litelvlm.clip.geometry import Crop
from litelvlm.clip.tower import Tower
from litelvlm.data.dataset import Expression, Sample
from litelvlm.metrics import intersection_union
from litelvlm.models.requests import equal_batches
from litelvlm.pruning import LayerTrace, Selection

LONGEST = 480
"""Longest side of a picture on the page, in pixels."""
ALIKE = 0.02
"""Largest difference in IoU of a mask that is drawn again."""
_Selections = Mapping[str, Mapping[int, Mapping[str, float]]]
FOUND = 0.5
"""IoU from which the unpruned model has found the object."""


def choose_expressions(rows: pd.DataFrame, method: str, count: int) -> list[int]:
    """Expressions (``sent_id``) at even ranks of a method's largest budget, worst first.

    Ranked by IoU, of clips by J&F.

    Example:
        >>> iou = [0.4, 0.1, 0.3, 0.2, 0.5]
        >>> rows = pd.DataFrame({"method": "m", "budget": 8, "sent_id": range(5), "iou": iou})
        >>> choose_expressions(rows, "m", 3)
        [1, 2, 4]
    """
    scores = largest_budget_scores(rows, method).sort_values(kind="stable")
    places = np.linspace(0, len(scores) - 1, min(count, len(scores))).round().astype(int)
    return [int(scores.index[place]) for place in places]


@torch.inference_mode()
def expression_view(
    context: SweepContext, sample: Sample, expression: Expression, inside: bool = True
) -> dict[str, object]:
    """Everything the page shows of one expression, ready for JSON.

    Args:
        context: Model, data, configuration and budgets of the run.
        sample: The image.
        expression: One of its expressions.
        inside: Whether to compute the signals of the language model.

    Returns:
        Picture, true mask, unpruned mask, ``selections`` [method][budget], ``scores`` [name] and
        the question's words with their attention.
    """
    model, config = context.model, context.config
    picture, truth, state, conversation, cues = query_example(model, sample, expression, config)
    view = state.view
    # One draw of a random method is enough to look at.
    passes = [made for made in expression_passes(context, 0, cues) if made.seed == 0]
    image, size = pack_picture(picture, LONGEST)
    selections: dict[str, dict[int, dict[str, object]]] = {}
    for batch in equal_batches([made.n_kept for made in passes], config.batch_size):
        chosen = [passes[i] for i in batch]
        given = [state] * len(chosen), [conversation] * len(chosen)
        results = model.ground(*given, [made.selection for made in chosen], config.answer)
        for made, result in zip(chosen, results, strict=True):
            mask = result.mask[0].cpu().numpy()
            overlap = intersection_union(mask, sample.mask(expression), config.doubled)
            selections.setdefault(made.method, {})[made.budget] = {
                "mask": pack_mask(mask, size),
                "iou": round(overlap.iou, 4),
                **roles_view(result.selection, view.n_tokens),
            }
    return {
        "id": int(expression.sent_id),
        "text": expression.sent,
        "kind": expression.kind or "",
        "image": image,
        "size": list(size),
        "box": token_box(view.crop, view.layout.plane),
        "truth": pack_mask(truth > 0, size),
        "unpruned": selections.pop(UNPRUNED)[context.unpruned_budget],
        "selections": selections,
        "scores": {
            name: pack_scores(values)
            for name, values in token_scores(cues, config, inside).items()
            if values is not None
        },
        "words": words_view(model.clip_tower, conversation.questions[0]),
    }


def roles_view(selection: Selection | None, n_tokens: int) -> dict[str, object]:
    """Which tokens are kept, in one bit mask per role, and the number of tokens without a place.

    For a method inside the language model these are the tokens of its last layer, with the counts
    of all "layers".
    """
    if selection is None:
        return {"roles": {}, "placeless": 0}
    words = selection.roles or ("kept",) * len(selection.indices)
    indices = np.asarray(selection.indices.cpu())
    found = {}
    for role in dict.fromkeys(words):
        flags = np.zeros(n_tokens, dtype=bool)
        own = indices[[word == role for word in words]]
        flags[own[own >= 0]] = True
        if flags.any():
            found[role] = pack_bits(flags)
    layers = {"layers": list(selection.counts)} if isinstance(selection, LayerTrace) else {}
    return {"roles": found, "placeless": int((indices < 0).sum()), **layers}


def token_box(crop: Crop, grid: tuple[int, int]) -> list[float]:
    """Top, left, bottom and right of the token grid as shares of the picture's height and width.

    A border around the picture lies outside 0 to 1.
    """
    rows, columns = grid
    down, across = crop.size // rows * rows, crop.size // columns * columns
    return [
        crop.top / crop.resized_height,
        crop.left / crop.resized_width,
        (crop.top + down) / crop.resized_height,
        (crop.left + across) / crop.resized_width,
    ]


def words_view(tower: Tower | None, sentence: str) -> dict[str, object]:
    """The question's words and the attention that [EOS] pays to each, per layer and head.

    Returns:
        "texts", "tokens", "layers", "heads" and packed "attention" [layers, heads, words]; only
        "lacks" with the reason where there is no text tower, or it has no such row.
    """
    if tower is None:
        return {"lacks": "the model has no text tower"}
    if "text_attention" in tower.lacks:
        return {"lacks": tower.lacks["text_attention"]}
    texts, n_tokens, attention = word_attention(tower, sentence)
    layers, heads, _ = attention.shape
    packed = pack_levels(attention)
    sizes = {"tokens": n_tokens, "layers": layers, "heads": heads}
    return {"texts": texts, **sizes, "attention": packed}


def difference_note(views: Sequence[Mapping[str, object]], rows: pd.DataFrame) -> str:
    """How many masks of the page differ from the run's, in words; empty if none does.

    The page computes them anew, so another code, number type or machine may draw others.

    Args:
        views: Of ``expression_view``.
        rows: Of the run.
    """
    first = rows[rows["seed"] == 0]
    of_run = first.set_index(["sent_id", "method", "budget"])["iou"].to_dict()
    apart = [
        abs(shown["iou"] - of_run[view["id"], method, budget]) > ALIKE
        for view in views
        for method, budgets in cast(_Selections, view["selections"]).items()
        for budget, shown in budgets.items()
    ]
    if not any(apart):
        return ""
    return (
        f"{sum(apart)} of {len(apart)} pruned masks of this page differ from the run's by more "
        f"than {ALIKE} in IoU: the code of a method, the number type or the machine is another one."
    )


def start(rows: pd.DataFrame, ids: Sequence[int], methods: tuple[str, str]) -> dict[str, object]:
    """The expression and budget at which two methods differ most, whichever of them wins.

    Only expressions count whose object the unpruned model finds; if it finds none, all do. Ties go
    to the first expression and the larger budget. Without a budget that both methods have, it is
    the first expression with the largest budget of the first method, or of the second if the first
    has no rows.

    Args:
        rows: Of the run; the first draw of a random method counts.
        ids: Expressions (``sent_id``) of the page, in its order.
        methods: The two.

    Returns:
        "sample", the place of the expression; "budget", the tokens kept; and the "methods".

    Example:
        >>> lines = [(5, "none", 144, 0.9), (5, "a", 8, 0.2), (5, "b", 8, 0.5),
        ...          (7, "none", 144, 0.9), (7, "a", 8, 0.7), (7, "b", 8, 0.1)]
        >>> rows = pd.DataFrame(lines, columns=["sent_id", "method", "budget", "iou"])
        >>> start(rows.assign(seed=0), [5, 7], ("a", "b"))
        {'sample': 1, 'budget': 8, 'methods': ('a', 'b')}
    """
    shown = rows[(rows["seed"] == 0) & rows["sent_id"].isin(ids)]
    wide = shown.pivot(index=["sent_id", "budget"], columns="method", values="iou")
    wide = wide.reindex(columns=list(dict.fromkeys((UNPRUNED, *methods))))
    first, second = (wide[method].dropna() for method in methods)
    whole = wide[UNPRUNED].droplevel("budget").dropna()
    apart = (first - second).dropna().abs().reset_index(name="gap")
    gaps = [
        (bool(whole[id] >= FOUND), gap, -ids.index(id), budget)
        for id, budget, gap in apart.itertuples(index=False)
    ]
    largest = max(k for _, k in next(filter(len, (first, second, wide[UNPRUNED]))).index)
    _, _, place, budget = max(gaps, default=(False, 0.0, 0, largest))
    return {"sample": -place, "budget": int(budget), "methods": methods}
