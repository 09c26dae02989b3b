"""`litelvlm study`: run studies one after another and print what they found."""

import sys
from collections.abc import Sequence
from functools import partial

from tqdm.auto import tqdm
from yaml import YAMLError, safe_load

from litelvlm.analysis.cli.actions.loading import data_of, studied_of
from litelvlm.analysis.cli.actions.report import write_report
from litelvlm.analysis.cli.terminal import print_json
from litelvlm.analysis.cli.text import ending, ending_text, run_text
from litelvlm.analysis.cli.verbs.study import StudyVerb
from litelvlm.analysis.pages.findings import finding
from litelvlm.analysis.runs.config import StudyConfig
from litelvlm.analysis.runs.engine import Job, Mapper, in_process, prepare
from litelvlm.analysis.runs.folder import read_record
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.runs.messages.events import Event
from litelvlm.analysis.runs.origin.determinism import make_deterministic
from litelvlm.analysis.runs.workers.processes import Processes, gpus_for, import_once
from litelvlm.analysis.runs.workers.ray import RayWorkers, check_ray
from litelvlm.analysis.studies import STUDIES
from litelvlm.analysis.studies.table import get_study, require_fit, run_with_pictures
from litelvlm.names import check_name


def run(verb: StudyVerb) -> int:
    """Run the studies one after another and print what they found.

    Returns:
        1 if any sample failed, else 0.
    """
    names = verb.chosen()
    configs, shard = {name: configure(verb, name) for name in names}, Shard.parse(verb.shard)
    if verb.engine == "ray":
        check_ray()
    import_once(__name__)
    workers = Processes(
        1 if verb.workers is None else verb.workers, verb.seed, gpus_for(verb.device)
    )
    make_deterministic(verb.seed)  # before the model: it sets what CUDA reads when it starts
    # Data first: a split that does not exist is told at once, a model can take minutes.
    read = {name: verb.as_read(name) for name in names}
    distinct = dict.fromkeys(read.values())
    data = {asked: data_of(asked) for asked in distinct}
    models = {asked: studied_of(asked) for asked in distinct}
    for name in names:  # before the first of them computes
        require_fit(get_study(name), models[read[name]])

    watch = partial(progress, names)
    with workers as processes:
        folders = [
            run_with_pictures(
                get_study(name),
                models[read[name]],
                data[read[name]],
                configs[name],
                verb.out,
                shard,
                mapper(verb, name, processes),
                verb.accept_versions,
                watch,
            )
            for name in names
        ]
    page = None
    if verb.report is not None:
        page = write_report(folders, verb.report)
    if verb.json:
        print_json(ending(folders, page))
    else:
        details = "\n".join([*map(run_text, folders), ""]) if verb.verbose else ""
        sys.stdout.write(details + ending_text(folders, page))
    return int(any(read_record(folder).state == "failed" for folder in folders))


def progress(names: Sequence[str], event: Event) -> str | None:
    """Which study of how many runs, to stand behind the bar; a verdict is printed above it."""
    place = f"study {names.index(event.study) + 1} of {len(names)}"
    if event.kind == "finished" and event.summary is not None:
        tqdm.write(f"{place}, {event.study}: {finding(event.summary)}", file=sys.stderr)
    return place if event.kind == "progress" else None


def mapper(verb: StudyVerb, name: str, processes: Processes) -> Mapper:
    """Where the parts of a study are computed.

    Args:
        verb: What was asked for.
        name: Of the study.
        processes: Workers on this machine, for more than one without Ray.

    """
    make = partial(job, verb, name)
    if verb.engine == "ray":
        return RayWorkers(make, verb.workers or 2, verb.address, verb.seed)
    return processes.mapper(make) if processes.count > 1 else in_process


def job(verb: StudyVerb, name: str) -> Job:
    """A study prepared with model and data of its own, for a worker."""
    verb.load_plugins()
    asked = verb.as_read(name)
    return prepare(get_study(name), studied_of(asked), data_of(asked), configure(verb, name))


def configure(verb: StudyVerb, name: str) -> StudyConfig:
    """The study's configuration from those given options that it has.

    What --set says of a field outweighs an option that reaches several studies.

    Raises:
        ValueError: If an option was given that no chosen study has, a field does not exist, or
            a value is refused.
    """
    given = verb.given(
        *("methods", "budgets", "protocol", "answer", "seeds", "batch_size", "limit")
    )
    given |= {"clip": verb.other_clips} if verb.other_clips is not None else {}
    for option in given:
        able = [study for study in STUDIES if option in get_study(study).Config.model_fields]
        if not set(able) & set(verb.chosen()):
            chosen, others = ", ".join(verb.chosen()), " or ".join(able)
            raise ValueError(
                f"no chosen study ({chosen}) has the option --{option}; leave it out, or "
                f"add {others}"
            )
    config = get_study(name).Config
    given = {"seed": verb.seed} | {k: v for k, v in given.items() if k in config.model_fields}
    return config.model_validate(given | fields(verb).get(name, {}))


def fields(verb: StudyVerb) -> dict[str, dict[str, object]]:
    """What --set says, by study.

    Raises:
        ValueError: If an entry is not STUDY.FIELD=VALUE, its study was not chosen, or it has no
            such field.
    """
    found: dict[str, dict[str, object]] = {}
    for entry in verb.set:
        place, equals, text = entry.partition("=")
        study, dot, field = place.partition(".")
        if not (equals and dot):
            raise ValueError(
                f"--set {entry} is not STUDY.FIELD=VALUE, such as importance.images=20"
            )
        if check_name(study, STUDIES, "study") not in verb.chosen():
            raise ValueError(
                f"--set {entry} is about a study that does not run; add {study}, or leave it out"
            )
        check_name(field, tuple(get_study(study).Config.model_fields), f"field of {study}")
        if field in found.setdefault(study, {}):
            raise ValueError(f"--set names {place} twice; give one value")
        if not text.strip():
            raise ValueError(
                f"--set {entry} has no value; write null for everything, or a number, a "
                "word or a list"
            )
        try:
            found[study][field] = safe_load(text)
        except (YAMLError, ValueError) as error:  # a day that no month has is no YAML error
            raise ValueError(
                f"--set {entry}: the value cannot be read; write a number, a word or a list"
            ) from error
    return found
