"""What [EOS] of one member attends to, by kind of sentence, layer and head."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Int

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.signals.text_attention import attention_measures, carried_shares
from litelvlm.analysis.signals.text_sinks import sos_ranks
from litelvlm.analysis.studies.emergence.rows import mean_row
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
            at = slice(last + 1)
            seen, together, moved, together_norms, norms = (
                part.numpy().astype(np.float64)
                for part in (
                    flow.weights[:, number, :, last, at],
                    flow.carried_together[:, number, last, at],
                    flow.carried[:, number, :, last, at],
                    flow.value_norms_together[:, number, at],
                    flow.value_norms[:, number, :, at],
                )
            )
            lift.append(attention_measures(seen, NOTHING, NOTHING)["lift"])
            carried.append(carried_shares(together, NOTHING, NOTHING)["norm_share"])
            carried_by_head.append(moved[..., 0] / moved.sum(-1))
            ratio.append(together_norms[:, 0] / np.median(together_norms[:, 1:], axis=-1))
            ratio_by_head.append(norms[..., 0] / np.median(norms[..., 1:], axis=-1))
        lifts = np.array(lift)  # [texts, layers, heads]
        of_all = {
            "lift": lifts.mean(axis=2),
            "log lift": np.log(np.maximum(lifts.mean(axis=2), 1e-6)),
            "carried": np.array(carried),
            "value ratio": np.array(ratio),
            "rank": np.array([sos_ranks(trace)]),
        }
        by_head = {
            "lift": lifts,
            "carried": np.array(carried_by_head),
            "value ratio": np.array(ratio_by_head),
        }
        for layer in range(lifts.shape[1]):
            for measure, values in of_all.items():
                yield mean_row(measure, values[:, layer], kind, layer)
            for head in range(lifts.shape[2] if heads else 0):
                for measure, values in by_head.items():
                    yield mean_row(measure, values[:, layer, head], kind, layer, head)
