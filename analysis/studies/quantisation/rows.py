"""Rows of one image: a sweep's rows in each precision, with the tokens that each one keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from litelvlm.analysis.inputs.methods import UNPRUNED, Method
from litelvlm.analysis.runs.columns import CONDITION, Column, Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.stats.ends import POSITIVE, SHARE
from litelvlm.analysis.stats.ranking import jaccard
from litelvlm.analysis.studies.quantisation.config import FULL
from litelvlm.analysis.studies.sweep.passes import Loaded, Pass, SweepContext, SweepQuery
from litelvlm.analysis.studies.sweep.rows import COLUMNS as SWEEP
from litelvlm.analysis.studies.sweep.rows import image_rows
from litelvlm.pruning import LayerPruner, Pruner
from litelvlm.pruning.cue_table import OF_LANGUAGE_MODEL
from litelvlm.pruning.layers.base import LayerPlan

COLUMNS: tuple[Column, ...] = (
    *SWEEP,
    Column(
        "precision",
        str,
        "How the language model's weights are stored; 'none' is all bits.",
        CONDITION,
    ),
    Column("blank", bool, "The mask has no pixel, though the expression means something."),
    Column("reads_llm", bool, "The method reads the language model before it chooses."),
    Column("jaccard", float, "Tokens kept here and with all bits: shared over all; 0 to 1.", SHARE),
    Column(
        "bytes_{component}",
        int,
        "Bytes of a component; in rows of the unpruned model only.",
        POSITIVE,
    ),
)
Kept = dict[tuple[int, str, int, int], frozenset[int]]
"""Tokens by place of the conversation, method, budget and seed."""


@dataclass(frozen=True)
class PrecisionContext(SweepContext):
    """A sweep's context in one precision that notes which tokens every pass keeps.

    Attributes:
        bytes: Of the model by component.
        kept: Tokens of the image at hand, filled while its passes are made.
    """

    bytes: Mapping[str, int] = field(default_factory=dict)
    kept: Kept = field(default_factory=dict)

    def passes(self, asked: SweepQuery) -> list[Pass]:
        """The sweep's passes; what a method inside the language model keeps takes one more."""
        made = super().passes(asked)
        for one in made:
            found = one.selection
            if isinstance(found, LayerPlan):
                (grounding,) = self.model.ground(
                    [asked.state], [asked.planned.conversation], [found]
                )
                found = grounding.selection
            if found is not None:
                own = frozenset(place for place in found.indices.tolist() if place >= 0)
                self.kept[asked.number, one.method, one.budget, one.seed] = own
        return made


def reads_language_model(pruner: Pruner) -> bool:
    """Whether a method's choice can change with the weights of the language model.

    Example:
        >>> from litelvlm.pruning import get_pruner
        >>> [reads_language_model(get_pruner(name)) for name in ("fastv", "litelvlm")]
        [True, False]
    """
    return isinstance(pruner, LayerPruner) or bool(pruner.needs & OF_LANGUAGE_MODEL)


def precision_rows(
    contexts: Mapping[str, PrecisionContext], methods: Sequence[Method], loaded: Loaded
) -> ItemResult:
    """Rows of one image: every precision under every method, budget and seed.

    Args:
        contexts: Of each precision, that with all bits first. The towers are the same, so the image
            is encoded once.
        methods: Of the study.
        loaded: The image as read from disk.
    """
    if not loaded.sample.expressions:
        return ItemResult([], loaded.skipped)
    labels_of_readers = {
        method.label for method in methods if reads_language_model(method.pruner())
    }
    places = {key["sent_id"]: number for number, key in enumerate(loaded.keys)}
    state = contexts[FULL].model.encode_clip(loaded.clip)
    rows, notes = list[Row](), list[str]()
    for name, context in contexts.items():
        context.kept.clear()
        made = image_rows(context, loaded, state)
        notes += [f"{name}: {note}" for note in made.notes]
        for given in made.rows:
            row = dict(given)
            own = {
                "precision": name,
                "blank": row["pred_px"] == 0 and row["area_frac"] != 0,
                "reads_llm": row["method"] in labels_of_readers,
                "jaccard": None,
            }
            if row["method"] == UNPRUNED:
                own |= {f"bytes_{part}": size for part, size in context.bytes.items()}
            else:
                own |= {f"bytes_{part}": None for part in context.bytes}
                if name != FULL:
                    own["jaccard"] = _shared(contexts[FULL], context, places, row)
            rows.append(row | own)
    return ItemResult(rows, loaded.skipped, tuple(notes))


def _shared(
    full: PrecisionContext, other: PrecisionContext, places: Mapping[object, int], row: Row
) -> float:
    number = places[row["sent_id"]]
    key = (number, str(row["method"]), int(str(row["budget"])), int(str(row["seed"])))
    return jaccard(full.kept[key], other.kept[key])
