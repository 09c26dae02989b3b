"""The explorer: one offline page with the tokens, scores, masks and text attention of a sweep.

The page contains its pictures, styles and script. Its policy forbids every network source.
"""

import base64
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from markupsafe import Markup
from tqdm.auto import tqdm

from litelvlm.analysis.inputs.methods import RANDOM, UNPRUNED
from litelvlm.analysis.inputs.own_methods import plugin_note
from litelvlm.analysis.inputs.samples import view_of
from litelvlm.analysis.pages.explore.clips import build_clip_page
from litelvlm.analysis.pages.explore.data import (
    choose_expressions,
    difference_note,
    expression_view,
    start,
)
from litelvlm.analysis.pages.explore.scores import INSIDE, SIGNALS
from litelvlm.analysis.pages.rendering import page_environment, template_source
from litelvlm.analysis.runs.folder import read_record, read_rows
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE, is_miniature
from litelvlm.analysis.runs.record import RunRecord
from litelvlm.analysis.studies.stories import STORIES, story_of
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.examples import methods_with_rows, sweep_config
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.data.dataset import Dataset, Sample
from litelvlm.data.files import atomic_write
from litelvlm.models.base import GroundingModel

log = logging.getLogger(__name__)
SCRIPTS = (
    "explore_unpack.js",
    "explore_draw.js",
    "explore_panels.js",
    "explore_share.js",
    "explore_tour.js",
    "explore.js",
)


def build_page(
    model: GroundingModel,
    data: Dataset,
    run: Path,
    out: Path,
    legend: Mapping[str, tuple[str, str]],
    samples: int = 50,
    inside: bool = True,
) -> Path:
    """Compute what the page shows and write it; clips have a page of strips instead.

    Args:
        model: The model of the sweep.
        data: Its data.
        run: Its run folder.
        out: The page.
        legend: Name for readers and CSS colour of each method, by label.
        samples: Expressions on the page, spread evenly over the ranks of IoU, not chosen by eye.
        inside: Whether tokens are ranked by signals of the language model as well, about 40 passes
            an expression.

    Raises:
        ValueError: If the run is no finished sweep, has no method that pruned, or was made with
            another model or other data.
        FileNotFoundError: If the folder holds no run.
    """
    record, config, rows = read_record(run), read_config(run), read_rows(run)
    check_source(record, model, data, run)
    context = SweepContext(model, data, config, config.budgets)
    methods = {m.label: m for m in config.methods if m.name != UNPRUNED}
    pair = first_pair(rows, config, run)
    if context.longest > 1:
        return build_clip_page(context, record, run, out, legend, pair[0], samples)
    chosen = choose_expressions(rows, pair[0], samples)
    places = {
        int(expression.sent_id): (sample, expression)
        for sample in (data[index] for index in range(len(data)))
        for expression in sample.expressions
    }
    names = {
        "model": record.model["name"],
        "data": f"{record.data['name']} {record.data['split']}",
    }
    views = [
        expression_view(context, *places[sent_id], inside)
        for sent_id in tqdm(chosen, desc="explore", unit="expression")
    ]
    if differs := difference_note(views, rows):
        log.warning("%s", differs)
    payload = names | {
        "grid": list(one_grid(model, [places[sent_id][0] for sent_id in chosen])),
        "budgets": sorted(context.budget_names),
        "methods": [
            {
                "name": name,
                "label": legend[name][0],
                "colour": legend[name][1],
                "about": method.pruner().about,
            }
            for name, method in methods.items()
        ],
        "signals": {
            name: {"label": label, "about": about}
            for name, (label, about) in SIGNALS.items()
            if inside or name not in INSIDE
        },
        "samples": views,
        "start": start(rows, chosen, pair),
    }
    text = render(
        payload,
        miniature_note=MINIATURE_NOTE if is_miniature(record) else "",
        differs_note=differs,
        run=run.name,
        model=names["model"],
        data_name=names["data"],
        n_shown=len(chosen),
        n_expressions=rows["sent_id"].nunique(),
        pair=[legend[name][0] for name in pair],
    )
    return atomic_write(out, text)


def first_pair(rows: pd.DataFrame, config: Config, run: Path) -> tuple[str, str]:
    """Labels of the two methods that the page begins with: the paper's and random, where swept.

    Raises:
        ValueError: If no method has rows.
    """
    labels = [method.label for method in methods_with_rows(rows, config)]
    if not labels:
        raise ValueError(
            f"{run} has rows of the unpruned model alone; the explorer shows what methods keep: "
            "name one in --methods, at a budget that it can keep to"
        )
    return labels[0], RANDOM if RANDOM in labels else labels[-1]


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


def read_config(run: Path) -> Config:
    """Configuration of a sweep.

    Raises:
        ValueError: If the run is of another study, asks several expressions at once, or has a
            method that is not known here.
    """
    study = read_record(run).study
    if not story_of(study).explorable:
        shown = " or ".join(repr(name) for name, story in STORIES.items() if story.explorable)
        raise ValueError(
            f"{run} is a run of the study {study!r}; the explorer shows a run of {shown}"
        )
    if note := plugin_note(run):
        raise ValueError(note)
    config = sweep_config(run)
    if config.protocol != "single":
        raise ValueError(
            f"{run} has the protocol {config.protocol!r}; the explorer shows runs of protocol "
            "'single'"
        )
    return config


def check_source(record: RunRecord, model: GroundingModel, data: Dataset, run: Path) -> None:
    """Refuse a run that is not whole, or that another model or other data made.

    Raises:
        ValueError: Saying which, and what to do.
    """
    record.require_complete(run)
    record.require_made_with("model", model.digest, run)
    record.require_made_with("data", data.digest, run)


def render(payload: Mapping[str, object], **words: object) -> str:
    """The page as text.

    Args:
        payload: What the page's script reads.
        words: What its template says of the run.
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
            **words,
        )
    )


def source_hash(text: str) -> str:
    """How a content security policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
