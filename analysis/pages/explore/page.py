"""The explorer: one offline page with the tokens, scores, masks and text attention of a sweep.

The page contains its pictures, styles and script. Its policy forbids every network source.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup
from tqdm.auto import tqdm

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.inputs.samples import view_of
from litelvlm.analysis.pages.explore.data import choose_expressions, expression_view
from litelvlm.analysis.pages.explore.scores import INSIDE, SIGNALS
from litelvlm.analysis.pages.explore.start import Start, start
from litelvlm.analysis.pages.rendering import page_environment, template_source
from litelvlm.analysis.runs.folder import read_record
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE, is_miniature
from litelvlm.analysis.runs.parts import read_rows
from litelvlm.analysis.runs.record import RunRecord
from litelvlm.analysis.studies.stories import STORIES, story_of
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.examples import sweep_config
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.data.dataset import Sample
from litelvlm.data.files import atomic_write
from litelvlm.data.refer import ReferDataset
from litelvlm.models.base import GroundingModel

SCRIPTS = (
    "explore_unpack.js",
    "explore_draw.js",
    "explore_panels.js",
    "explore_share.js",
    "explore_tour.js",
    "explore.js",
)


@dataclass(frozen=True)
class LegendEntry:
    """How a method appears on the page.

    Attributes:
        label: Its name for readers.
        colour: CSS colour of its swatch.
    """

    label: str
    colour: str


@dataclass(frozen=True)
class ExplorerSource:
    """A sweep and what made it.

    Attributes:
        model: Of the run.
        data: Of the run.
        run: Its folder.
    """

    model: GroundingModel
    data: ReferDataset
    run: Path


@dataclass(frozen=True)
class RunView:
    """A run on the page.

    Attributes:
        payload: What the page's script reads: budgets from the smallest, methods with name, label,
            colour and about, signals with label and about, and one view per expression.
        run: Name of its folder.
        model: Name of its model.
        data: Its data and split.
        chosen: How its expressions were chosen.
        n_expressions: Of the run.
        ids: Expressions (``sent_id``) on the page.
        start: What to look at first.
        miniature: Whether its model is one.
    """

    payload: dict[str, object]
    run: str
    model: str
    data: str
    chosen: str
    n_expressions: int
    ids: list[int]
    start: Start
    miniature: bool


def build_page(
    model: GroundingModel,
    data: ReferDataset,
    run: Path,
    out: Path,
    legend: Mapping[str, LegendEntry] | None = None,
    samples: int = 50,
    inside: bool = True,
    beside: ExplorerSource | None = None,
) -> Path:
    """Compute what the page shows and write it.

    Args:
        model: The model of the sweep.
        data: Its data.
        run: Its run folder.
        out: The page.
        legend: Names and colours of methods by label. A method that is missing appears in grey by
            its label.
        samples: Expressions on the page, spread evenly over the ranks of IoU, not chosen by eye.
        inside: Whether tokens are ranked by signals of the language model as well, about 40 passes
            an expression.
        beside: Another sweep to compare with: of another model, commit or split. On the same data
            it shows the same expressions.

    Raises:
        ValueError: If a run is no finished sweep, was made with another model or other data, or has
            none of the expressions of the first.
        FileNotFoundError: If a folder holds no run.
    """
    first = run_view(ExplorerSource(model, data, run), legend or {}, samples, inside)
    shown = [first]
    if beside is not None:
        same = beside.data.digest == data.digest
        shown.append(run_view(beside, legend or {}, samples, inside, first.ids if same else None))
    paper = first.start.methods[0]
    named = zip(shown, titles(shown), strict=True)
    payload = {
        "runs": [view.payload | {"title": title} for view, title in named],
        "start": (replace(first.start, methods=(paper, paper)) if beside else first.start).plain,
    }
    return atomic_write(out, render(payload, shown, start_rule(shown, legend or {})))


def run_view(
    source: ExplorerSource,
    legend: Mapping[str, LegendEntry],
    samples: int,
    inside: bool,
    wanted: Sequence[int] | None = None,
) -> RunView:
    """Compute what the page shows of one run.

    Args:
        source: The run, its model and data.
        legend: Names and colours of methods by label.
        samples: Expressions on the page.
        inside: Whether to compute the signals of the language model.
        wanted: Expressions to show where the run has them, instead of a choice of its own.
    """
    model, data, run = source.model, source.data, source.run
    record, config = read_record(run), read_config(run)
    check_source(record, model, data, run)
    rows = read_rows(run)
    context = SweepContext(model, data, config, config.budgets)
    swept = [method.label for method in config.methods if method.name != UNPRUNED]
    there = {int(sent_id) for sent_id in rows["sent_id"].unique()}
    if wanted is None:
        chosen = choose_expressions(rows, PAPER if PAPER in swept else swept[0], samples)
    elif not (chosen := [sent_id for sent_id in wanted if sent_id in there]):
        raise ValueError(f"{run} has none of the expressions of the other run; give both one limit")
    places = {
        int(expression.sent_id): (sample, expression)
        for sample in data
        for expression in sample.expressions
    }
    views = [
        expression_view(context, *places[sent_id], inside)
        for sent_id in tqdm(chosen, desc="explore", unit="expression")
    ]
    payload: dict[str, object] = {
        "run": run.name,
        "model": record.model["name"],
        "data": f"{record.data['name']} {record.data['split']}",
        "grid": list(one_grid(model, [places[sent_id][0] for sent_id in chosen])),
        "budgets": sorted(context.budget_names),
        "methods": [
            {
                "name": m.label,
                **vars(legend.get(m.label, LegendEntry(m.label, "#777777"))),
                "about": type(m.pruner()).summary,
            }
            for m in config.methods
            if m.name != UNPRUNED
        ],
        "signals": {
            name: {"label": label, "about": about}
            for name, (label, about) in SIGNALS.items()
            if inside or name not in INSIDE
        },
        "samples": views,
    }
    ranks = "spread evenly over the ranks of IoU" if wanted is None else "those of the other run"
    return RunView(
        payload=payload,
        run=run.name,
        model=record.model["name"],
        data=f"{record.data['name']} {record.data['split']}",
        chosen=ranks,
        n_expressions=len(there),
        ids=list(chosen),
        start=start(rows, chosen, swept),
        miniature=is_miniature(record),
    )


def one_grid(model: GroundingModel, samples: Sequence[Sample]) -> tuple[int, int]:
    """The token grid of all images on the page, whose script has one for all.

    Raises:
        ValueError: If their grids differ.
    """
    grids = {view_of(model, sample).layout.plane for sample in samples}
    if len(grids) > 1:
        raise ValueError(
            f"the explorer shows images of one token grid, and these have {sorted(grids)}; show a "
            "run whose images have one size"
        )
    (grid,) = grids
    return grid


def titles(shown: Sequence[RunView]) -> list[str]:
    """Each run by its model, and by its folder too where the models are one."""
    names = [view.model for view in shown]
    return [
        f"model {view.model}" + (f", {view.run}" if names.count(view.model) > 1 else "")
        for view in shown
    ]


def start_rule(shown: Sequence[RunView], legend: Mapping[str, LegendEntry]) -> str:
    """How the first view was chosen, for readers."""
    first, second = (legend[m].label if m in legend else m for m in shown[0].start.methods)
    return (
        f"The page starts where {first} and {second} differ most, whichever wins, among "
        "expressions whose object the unpruned model finds."
        + (f" Beside it stands {first} of the other run." if len(shown) > 1 else "")
    )


def read_config(run: Path) -> Config:
    """Configuration of a sweep.

    Raises:
        ValueError: If the run is of another study or asks several expressions at once.
    """
    study = read_record(run).study
    if not story_of(study).explorable:
        shown = " or ".join(repr(name) for name, story in STORIES.items() if story.explorable)
        raise ValueError(
            f"{run} is a run of the study {study!r}; the explorer shows a run of {shown}"
        )
    config = sweep_config(run)
    if config.protocol != "single":
        raise ValueError(
            f"{run} has the protocol {config.protocol!r}; the explorer shows runs of protocol "
            "'single'"
        )
    return config


def check_source(record: RunRecord, model: GroundingModel, data: ReferDataset, run: Path) -> None:
    """Refuse a run that is not whole, or that another model or other data made.

    Raises:
        ValueError: Saying which, and what to do.
    """
    if not record.complete:
        raise ValueError(
            f"{run} is incomplete ({record.parts_done} of {record.n_parts} parts); run its "
            "command again"
        )
    for what, made, given in (("model", record.model, model), ("data", record.data, data)):
        if made["digest"] != given.digest:
            raise ValueError(
                f"{run} was made with the {what} {made['name']!r} of digest "
                f"{made['digest'][:12]}, and this "
                f"{what} has {given.digest[:12]}; name the same one with --{what}"
            )


def render(payload: Mapping[str, object], shown: Sequence[RunView], rule: str) -> str:
    """The page as text.

    Args:
        payload: Of the page's script.
        shown: The runs.
        rule: How the first view was chosen.
    """
    script = "\n".join(template_source(name) for name in SCRIPTS)
    style = template_source("explore.css")
    # "<" could end the element that holds the data; JSON reads the escape back.
    packed = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return (
        page_environment()
        .get_template("explore.html")
        .render(
            data=Markup(packed),  # noqa: S704 - JSON without "<" inside a data element
            script=Markup(script),  # noqa: S704 - our own files
            style=Markup(style),  # noqa: S704
            hashes={"script": source_hash(script), "style": source_hash(style)},
            miniature_note=MINIATURE_NOTE if any(view.miniature for view in shown) else "",
            runs=shown,
            start_rule=rule,
        )
    )


def source_hash(text: str) -> str:
    """How a content security policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
