"""Samples that lmms-eval logged (``--log_samples``), read back to compare two methods in pairs."""

import hashlib
import json
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path

import pandas as pd

from litelvlm.analysis.stats.bootstrap import Estimate, mean_estimate
from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.shown import shown
from litelvlm.names import check_name

_COMMON = frozenset(
    ("doc_id", "doc_hash", "target", "input", "input_media", "resps", "filtered_resps",
     "token_counts")
)  # fmt: skip
"""What every logged sample may have besides its metrics (lmms-eval 0.7)."""
_IMAGE = ("image_id", "image")


def read_samples(
    path: str | Path,
    metric: str,
    score: str | Callable[[object], float] = "score",
    image: str | None = None,
) -> pd.DataFrame:
    """The samples of one task as a table: doc_id, input, target, score, image_id.

    A logged metric is a number, or a record of one document. Documents without the metric are left
    out, as lmms-eval does when it adds up (MME's perception and cognition, for example).

    Args:
        path: A file ``DATE_samples_TASK.jsonl`` below ``--output_path``.
        metric: Name of the metric in the file.
        score: Where the metric is a record: the field with the score, or what makes a score of the
            record (``lambda one: one["pred"] == one["answer"]`` for seed_all of SEED-Bench).
        image: Field of the record that names the picture ("question_id" in MME); None takes
            "image_id", "image", or the logged input media. Where there is none, image_id is "".

    Raises:
        ValueError: If a line is no logged sample, a document stands twice, no sample has the metric
            (the message lists those there are), or a score is no finite number.
    """
    rows: list[dict[str, object]] = []
    metrics: dict[str, None] = {}
    for number, line in enumerate(Path(path).read_bytes().splitlines(), 1):
        where = f"{path}, line {number}"
        try:
            sample = read_json(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where}: {error}; give a file of --log_samples") from error
        if not isinstance(sample, dict) or not {"doc_id", "input", "target"} <= sample.keys():
            raise ValueError(f"{where}: {shown(sample)} is no sample of lmms-eval's --log_samples")
        metrics |= dict.fromkeys(name for name in sample if name not in _COMMON)
        if metric in sample:
            kept = {name: sample[name] for name in ("doc_id", "input", "target")}
            kept["score"] = _number(sample[metric], score, where, metric)
            rows.append(kept | {"image_id": _image(sample, metric, image, where)})
    if not rows:
        check_name(metric, metrics, f"metric of {path}")
    table = pd.DataFrame(rows, columns=["doc_id", "input", "target", "score", "image_id"])
    twice = table["doc_id"][table["doc_id"].duplicated()]
    if len(twice):
        raise ValueError(f"{path}: document {twice.iloc[0]} stands twice; give one run's file")
    return table


def _image(sample: Mapping[str, object], metric: str, field: str | None, where: str) -> str:
    """What names the picture, "" for nothing; media inside the log are named by their digest."""
    record, media = sample[metric], sample.get("input_media")
    fields = record if isinstance(record, Mapping) else {}
    found = next((fields[name] for name in ([field] if field else _IMAGE) if name in fields), None)
    if field and found is None:
        raise ValueError(f"{where}: {metric} has no field {field!r}, it is {shown(record)}")
    if found is None and media:
        text = json.dumps(media)
        found = hashlib.sha256(text.encode()).hexdigest() if "data:" in text else text
    return "" if found is None else str(found)


def _number(
    record: object, score: str | Callable[[object], float], where: str, metric: str
) -> float:
    if callable(score):
        value: object = score(record)
    else:
        value = record.get(score) if isinstance(record, Mapping) else record
    if isinstance(value, bool | int | float) and isfinite(value):
        return float(value)
    raise ValueError(
        f"{where}: {metric} gives the score {shown(value)}, expected a number, and the log has "
        f"{shown(record)}; name its field (score='...') or make a number of it (score=lambda one: "
        "...)"
    )


def paired_difference(first: pd.DataFrame, second: pd.DataFrame) -> Estimate:
    """Mean of the first scores minus the second over the same documents, with its interval.

    Pictures are resampled with all their documents; a document without ``image_id`` counts as a
    picture of its own. Scores whose total is no mean (POPE's F1, cIoU) need their own statistic.

    Args:
        first: A table of ``read_samples``.
        second: The same task under another method.

    Raises:
        ValueError: If the documents are not the same; the message names them.

    Example:
        >>> import pandas as pd
        >>> one = {"doc_id": [0, 1], "input": "?", "target": "a", "image_id": ["x", "y"]}
        >>> a, b = (pd.DataFrame({**one, "score": s}) for s in ([1.0, 1.0], [1.0, 0.0]))
        >>> paired_difference(a, b).value
        0.5
    """
    one, other = (table.set_index("doc_id").sort_index() for table in (first, second))
    alone = [list(a.index.difference(b.index)) for a, b in ((one, other), (other, one))]
    if any(alone):
        told = (
            f"{len(docs)} only in the {name} ({', '.join(map(str, docs[:3]))}"
            f"{', ...' if len(docs) > 3 else ''})"
            for name, docs in zip(("first", "second"), alone, strict=True)
            if docs
        )
        raise ValueError(f"the documents differ: {'; '.join(told)}; take runs of the same --limit")
    for name in ("input", "target", "image_id"):
        differ = one.index[one[name] != other[name]]
        if len(differ):
            doc = differ[0]
            raise ValueError(
                f"document {doc} has the {name} {shown(one.loc[doc, name])} in the first and "
                f"{shown(other.loc[doc, name])} in the second; take runs of the same task"
            )
    documents = one.index.to_series().map("document {}".format)
    images = one["image_id"].where(one["image_id"] != "", documents)
    return mean_estimate((one["score"] - other["score"]).to_numpy(), images.to_numpy().astype(str))
