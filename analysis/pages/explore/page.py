"""The explorer: one offline page with the tokens, scores, masks and text attention of a sweep.

The page contains its pictures, styles and script. Its policy forbids every network source.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from tqdm.auto import tqdm

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.pages.explore.data import choose_expressions, expression_view
from litelvlm.analysis.pages.explore.scores import INSIDE, SIGNALS
from litelvlm.analysis.pages.rendering import page_environment, template_source
from litelvlm.analysis.runs.config import resolve_budgets
from litelvlm.analysis.runs.folder import read_record
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE, is_miniature
from litelvlm.analysis.runs.parts import read_rows
from litelvlm.analysis.runs.record import RunRecord
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.examples import sweep_config
from litelvlm.analysis.studies.sweep.passes import Context
from litelvlm.data.files import atomic_write
from litelvlm.data.refer import ReferDataset
from litelvlm.models.glamm.model import Glamm

SCRIPTS = ("explore_unpack.js", "explore_draw.js", "explore_panels.js", "explore.js")


@dataclass(frozen=True)
class LegendEntry:
    """How a method appears on the page.

    Attributes:
        label: Its name for readers.
        colour: CSS colour of its swatch.
    """

    label: str
    colour: str


def build_page(
    model: Glamm,
    data: ReferDataset,
    run: Path,
    out: Path,
    legend: Mapping[str, LegendEntry] | None = None,
    samples: int = 50,
    inside: bool = True,
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

    Raises:
        ValueError: If the run is no finished sweep, or was made with another model or other data.
        FileNotFoundError: If the folder holds no run.
    """
    record, config = read_record(run), read_config(run)
    check_source(record, model, data, run)
    rows = read_rows(run)
    context = Context(model, data, config, resolve_budgets(config.budgets, model.n_tokens))
    swept = [method.label for method in config.methods if method.name != UNPRUNED]
    chosen = choose_expressions(rows, PAPER if PAPER in swept else swept[0], samples)
    places = {
        int(expression.sent_id): (sample, expression)
        for sample in data
        for expression in sample.expressions
    }
    views = [
        expression_view(context, *places[sent_id], inside)
        for sent_id in tqdm(chosen, desc="explore", unit="expression")
    ]
    legend = legend or {}
    # What the page's script reads; budgets from the smallest, methods with name, label, colour and
    # about, signals with label and about, and one view per expression.
    payload = {
        "run": run.name,
        "model": record.model["name"],
        "data": f"{record.data['name']} {record.data['split']}",
        "grid": list(model.grid),
        "budgets": sorted(context.budgets),
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
    return atomic_write(out, render(payload, len(views), record, len(rows["sent_id"].unique())))


def read_config(run: Path) -> Config:
    """Configuration of a sweep.

    Raises:
        ValueError: If the run is of another study or asks several expressions at once.
    """
    study = read_record(run).study
    if study != "sweep":
        raise ValueError(
            f"{run} is a run of the study {study!r}; the explorer shows a run of 'sweep'"
        )
    config = sweep_config(run)
    if config.protocol != "single":
        raise ValueError(
            f"{run} has the protocol {config.protocol!r}; the explorer shows runs of protocol "
            "'single'"
        )
    return config


def check_source(record: RunRecord, model: Glamm, data: ReferDataset, run: Path) -> None:
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


def render(
    payload: Mapping[str, object], n_samples: int, record: RunRecord, n_expressions: int
) -> str:
    """The page as text."""
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
            miniature_note=MINIATURE_NOTE if is_miniature(record) else "",
            run=payload["run"],
            n_samples=n_samples,
            n_expressions=n_expressions,
        )
    )


def source_hash(text: str) -> str:
    """How a content security policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
