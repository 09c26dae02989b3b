"""`litelvlm study`: rows, summary and verdicts of one claim or of all."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from litelvlm.analysis.cli.options import Printing, RunOptions, require_writable
from litelvlm.analysis.studies import BY_NAME, STUDIES
from litelvlm.names import check_name

if TYPE_CHECKING:
    from litelvlm.analysis.runs.config import StudyConfig
    from litelvlm.analysis.runs.engine import Job, Mapper
    from litelvlm.analysis.runs.locks import Shard
    from litelvlm.analysis.runs.told.watching import Watcher
    from litelvlm.data.dataset import Dataset
    from litelvlm.models.base import StudiedModel


@dataclass(frozen=True, kw_only=True)
class Study(RunOptions, Printing):
    """Ask a question of a model and a data set, or all questions there are.

    It ends with one sentence per study; `litelvlm show -v` prints every claim with its numbers.
    Every finished part is kept; the same command goes on where the last one stopped. How large a
    study is, and whatever else its configuration holds, is set with --set STUDY.FIELD=VALUE. An
    unknown field is refused, and the message lists the fields that exist.

    Examples:
      litelvlm study reversal
      litelvlm study sweep --methods litelvlm random uniform --budgets 48 16
      litelvlm study importance faithfulness --set importance.images=200 faithfulness.images=null
      litelvlm study all --limit 20 --report report
      litelvlm study sweep --methods all --engine ray --workers 2
      litelvlm study sweep --model GLAMM --data REFER_SEGM --dataset refcoco --shard 2/8
    """

    names: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(help=f"{', '.join(STUDIES)}, or all. Not part of all: {', '.join(BY_NAME)}."),
    ]
    methods: tuple[str, ...] | None = None
    """Pruning methods of the sweep (default: the controls and the paper's own)."""
    budgets: tuple[int | float, ...] | None = None
    """Tokens to keep, or shares of all from 0 to 1 (default: 1/3, 2/9, 1/9 and 1/18)."""
    protocol: Literal["single", "conversation", "official"] | None = None
    """Expressions per conversation: one, all of an image, or three drawn ones (default: single)."""
    seeds: int | None = None
    """Draws of random methods, and of expressions in protocol official (default: 5)."""
    batch_size: int | None = None
    """Passes of the language model at once: what bounds memory (default: 24)."""
    other_clips: tuple[str, ...] | None = None
    """Other CLIP models for reversal and mechanism, such as open_clip:ViT-B-16/openai."""
    set: tuple[str, ...] = ()
    """Fields of a chosen study, as STUDY.FIELD=VALUE; null is everything, [1, 2] a list."""
    engine: Literal["process", "ray"] = "process"
    """Where parts are computed: in this process, or by Ray workers that hold a model each."""
    workers: int = 2
    """Ray workers."""
    address: str | None = None
    """Of an existing Ray cluster, such as "auto"; one is started on this machine if left out."""
    report: Path | None = None
    """Also draw the figures and write a report into this folder."""

    def run(self) -> int:
        """Run the studies one after another and print what they found.

        Returns:
            1 if any sample failed, else 0.
        """
        from litelvlm.analysis.runs.locks import Shard
        from litelvlm.analysis.runs.origin.determinism import make_deterministic

        names = self.chosen()
        require_writable(self.out, folder=True)
        if self.report is not None:
            require_writable(self.report, folder=True)
        configs, shard = {name: self.configure(name) for name in names}, Shard.parse(self.shard)
        make_deterministic(self.seed)  # before the model: it sets what CUDA reads when it starts
        model, data = self.load_studied(), self.load_data()
        from litelvlm.analysis.cli.terminal.progress import Progress
        from litelvlm.analysis.cli.terminal.screen import print_json
        from litelvlm.analysis.cli.text import ending, ending_text, run_text
        from litelvlm.analysis.runs.folder import read_record

        watch = Progress(names)
        folders = [self.run_one(name, model, data, configs[name], shard, watch) for name in names]
        page = None
        if self.report is not None:
            from litelvlm.analysis.cli.verbs.report import write_report

            page = write_report(folders, self.report)
        if self.json:
            print_json(ending(folders, page))
        else:
            details = "\n".join([*map(run_text, folders), ""]) if self.verbose else ""
            sys.stdout.write(details + ending_text(folders, page))
        return int(any(read_record(folder).state == "failed" for folder in folders))

    def mapper(self, name: str) -> Mapper:
        """Where the parts of a study are computed.

        Raises:
            ValueError: If Ray is not installed, or one of its options is given without it.
        """
        from litelvlm.analysis.runs.engine import in_process
        from litelvlm.analysis.runs.ray_workers import RayWorkers, import_ray

        if self.engine == "process":
            if self.address is not None:
                raise ValueError("--address names a Ray cluster; add --engine ray, or leave it out")
            return in_process
        import_ray()
        return RayWorkers(partial(self.job, name), self.workers, self.address, self.seed)

    def job(self, name: str) -> Job:
        """A study prepared with model and data of its own, for a Ray worker."""
        from litelvlm.analysis.runs.engine import prepare
        from litelvlm.analysis.studies.table import get_study

        self.load_plugins()
        return prepare(get_study(name), self.load_studied(), self.load_data(), self.configure(name))

    def chosen(self) -> tuple[str, ...]:
        """The studies to run, in the order of the table, each once; "all" leaves out ``BY_NAME``.

        Raises:
            ValueError: If none is named, or one is unknown.
        """
        if not self.names:
            raise ValueError(f"name a study: {', '.join(STUDIES)}, or all")
        for name in self.names:
            check_name(name, [*STUDIES, "all"], "study")
        together = set(STUDIES) - set(BY_NAME) if "all" in self.names else set()
        return tuple(name for name in STUDIES if name in {*self.names, *together})

    def configure(self, name: str) -> StudyConfig:
        """The study's configuration from those given options that it has.

        What --set says of a field outweighs an option that reaches several studies.

        Raises:
            ValueError: If an option was given that no chosen study has, a field does not exist, or
                a value is refused.
        """
        from litelvlm.analysis.studies.table import get_study

        names = ("methods", "budgets", "protocol", "seeds", "batch_size", "limit")
        given = {option: getattr(self, option) for option in names} | {"clip": self.other_clips}
        given = {option: value for option, value in given.items() if value is not None}
        for option in given:
            able = [study for study in STUDIES if option in get_study(study).Config.model_fields]
            if not set(able) & set(self.chosen()):
                chosen, others = ", ".join(self.chosen()), " or ".join(able)
                raise ValueError(
                    f"no chosen study ({chosen}) has the option --{option}; leave it out, or "
                    f"add {others}"
                )
        config = get_study(name).Config
        given = {"seed": self.seed} | {k: v for k, v in given.items() if k in config.model_fields}
        return config(**given | self.fields().get(name, {}))

    def fields(self) -> dict[str, dict[str, object]]:
        """What --set says, by study.

        Raises:
            ValueError: If an entry is not STUDY.FIELD=VALUE, its study was not chosen, or it has no
                such field.
        """
        from yaml import YAMLError, safe_load

        from litelvlm.analysis.studies.table import get_study

        found: dict[str, dict[str, object]] = {}
        for entry in self.set:
            place, equals, text = entry.partition("=")
            study, dot, field = place.partition(".")
            if not (equals and dot):
                raise ValueError(
                    f"--set {entry} is not STUDY.FIELD=VALUE, such as importance.images=20"
                )
            if check_name(study, STUDIES, "study") not in self.chosen():
                raise ValueError(
                    f"--set {entry} is about a study that does not run; add {study}, or leave "
                    "it out"
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

    def run_one(
        self,
        name: str,
        model: StudiedModel,
        data: Dataset,
        config: StudyConfig,
        shard: Shard,
        watch: Watcher,
    ) -> Path:
        """Run one study and save the pictures of a finished run; its folder."""
        from litelvlm.analysis.studies.table import get_study, run_with_pictures

        study = get_study(name)
        mapper, accepted = self.mapper(name), self.accept_versions
        return run_with_pictures(
            study, model, data, config, self.out, shard, mapper, accepted, watch
        )
