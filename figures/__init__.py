"""Figures: one function per figure, saved tables in, axes out."""

if __name__ != "litelvlm.figures":
    raise ImportError(
        f"the folder figures/ was imported as {__name__!r}; import litelvlm.figures instead"
    )

from litelvlm.figures import (
    ablations,
    efficiency,
    emergence,
    examples,
    faithfulness,
    finetuning,
    importance,
    mechanism,
    published,
    quantisation,
    reversal,
    significance,
    sink,
    sweep,
    video,
)
from litelvlm.figures.saved import Drawing

FIGURES: dict[str, Drawing] = {
    drawing.name: drawing
    for drawing in (
        *reversal.DRAWINGS,
        *mechanism.DRAWINGS,
        *sink.DRAWINGS,
        *emergence.DRAWINGS,
        *importance.DRAWINGS,
        *faithfulness.DRAWINGS,
        *sweep.DRAWINGS,
        *video.DRAWINGS,
        *published.DRAWINGS,
        *ablations.DRAWINGS,
        *significance.DRAWINGS,
        *quantisation.DRAWINGS,
        *finetuning.DRAWINGS,
        *examples.DRAWINGS,
        *efficiency.DRAWINGS,
    )
}
"""Closed table of figures, in the order in which a report shows them."""
