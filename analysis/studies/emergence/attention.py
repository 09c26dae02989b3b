"""What [EOS] of one member attends to, by kind of sentence, layer and head."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.signals.text_attention import attention_measures, carried_shares
from litelvlm.analysis.signals.text_sinks import sos_ranks
from litelvlm.arrays import NDArray
from litelvlm.clip.probes.text import text_flow, trace_text
from litelvlm.clip.tower import Tower

NOTHING: Int[NDArray[np.int64], " zero"] = np.array([], dtype=np.int64)


def attention_rows(
    tower: Tower, sentences: Mapping[str, Sequence[str]], heads: bool
) -> Iterator[Row]:
    """Rows about [SOS], each the mean over the sentences of one kind.

    Measures: "lift" (attention on [SOS] over uniform attention), "log lift" (mean of its logarithm
    after averaging over heads), "carried" (share of [SOS] in what [EOS] receives, by norm), "value
    ratio" (value norm of [SOS] over the median of the other tokens) and "rank" (effective number of
    directions in what [SOS] gives to the texts, over all heads; 1 is a constant). "rank" has no
    rows of single heads. A causal [SOS] has one value for all texts, so a head gives every text the
    same direction and its rank is 1.

    Args:
        tower: Whose text side is read.
        sentences: By kind.
        heads: Whether single heads have rows of "lift", "carried" and "value ratio" beside those of
            all heads together.
    """
    for kind, texts in sentences.items():
        trace = trace_text(tower, texts)
        flow = text_flow(trace)
        lift, carried, ratio, carried_by_head, ratio_by_head = [], [], [], [], []
        for number, last in enumerate(trace.text.eos_index.tolist()):
            length = last + 1
            seen = flow.weights[:, number, :, last, :length].numpy().astype(np.float64)
            lift.append(attention_measures(seen, NOTHING, NOTHING)["lift"])
            moved = flow.carried_together[:, number, last, :length].numpy().astype(np.float64)
            carried.append(carried_shares(moved, NOTHING, NOTHING)["norm_share"])
            norms = flow.value_norms_together[:, number, :length].numpy().astype(np.float64)
            ratio.append(norms[:, 0] / np.median(norms[:, 1:], axis=-1))
            moved = flow.carried[:, number, :, last, :length].numpy().astype(np.float64)
            carried_by_head.append(moved[..., 0] / moved.sum(-1))
            norms = flow.value_norms[:, number, :, :length].numpy().astype(np.float64)
            ratio_by_head.append(norms[..., 0] / np.median(norms[..., 1:], axis=-1))
        lifts = np.array(lift)  # [texts, layers, heads]
        logs = np.log(np.maximum(lifts.mean(axis=2), 1e-6))
        ranks = sos_ranks(trace)
        for layer in range(lifts.shape[1]):
            yield _row("lift", kind, layer, -1, lifts[:, layer].mean(axis=1))
            yield _row("log lift", kind, layer, -1, logs[:, layer])
            yield _row("carried", kind, layer, -1, np.array(carried)[:, layer])
            yield _row("value ratio", kind, layer, -1, np.array(ratio)[:, layer])
            yield _row("rank", kind, layer, -1, np.array([ranks[layer]]))
            if heads:
                by_head = {
                    "lift": lifts,
                    "carried": np.array(carried_by_head),
                    "value ratio": np.array(ratio_by_head),
                }
                for head in range(lifts.shape[2]):
                    for measure, values in by_head.items():
                        yield _row(measure, kind, layer, head, values[:, layer, head])


def _row(
    measure: str, text: str, layer: int, head: int, values: Float[NDArray[np.float64], " n"]
) -> Row:
    return {
        "measure": measure,
        "text": text,
        "layer": layer,
        "head": head,
        "category": "",
        "value": float(values.mean()),
        "sd": float(values.std(ddof=1)) if len(values) > 1 else float("nan"),
        "n": len(values),
    }
