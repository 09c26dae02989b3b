"""`litelvlm evaluate`: the scores that papers print, in one command."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from litelvlm.analysis.cli.options import Printing, RunOptions, require_writable

if TYPE_CHECKING:
    import pandas as pd

    from litelvlm.analysis.runs.record import RunRecord
    from litelvlm.analysis.studies.sweep.config import Config


@dataclass(frozen=True, kw_only=True)
class Evaluate(RunOptions, Printing):
    """Score the unpruned model and pruning methods on a whole split.

    The scores are cIoU, gIoU, P@0.5 to P@0.9 and, with no-target expressions, N-acc and T-acc.

    --protocol single asks every expression once with one template (exhaustive), --protocol
    conversation all of an image in one conversation; --protocol official draws three expressions an
    image and random templates for one conversation, as the official code does, once per seed. cIoU
    and gIoU are printed with the official epsilons and
    exactly. The rows are those of a sweep: every finished part is kept, the same command goes on
    where the last one stopped, and `litelvlm show` tells the intervals.

    Examples:
      litelvlm evaluate
      litelvlm evaluate --model GLAMM --data REFER_SEGM --dataset refcoco --split testA
      litelvlm evaluate --model GLAMM --data REFER_SEGM --protocol official --seeds 5
      litelvlm evaluate --data REFER_SEGM --dataset grefcoco --empty-below 1
      litelvlm evaluate --methods "litelvlm(precision=bfloat16)" --options crop=pad read=seg --json
      litelvlm evaluate --task pope --methods litelvlm random --budgets 48 16
      litelvlm evaluate --task gqa --model llava-hf/llava-1.5-7b-hf --data GQA_FOLDER --pad

    --task asks a vision-language model questions instead: gqa, pope, mme, scienceqa, seedbench,
    textvqa, vqav2, vizwiz or mmbench. --data is then a folder with the task's files or the hub's
    Parquet files, a hub id, or "embedded" (gqa, pope, vqav2), and --model any family that
    `litelvlm ls families` lists; "embedded" is the miniature LLaVA.
    """

    task: str | None = None
    """Ask the questions of this task instead of grounding expressions."""
    pad: bool = False
    """With --task: pad pictures to squares with the mean colour, as LLaVA's authors do."""
    ocr: bool = False
    """With --task textvqa: name the words that an OCR system read in the prompt."""
    methods: tuple[str, ...] = ("litelvlm",)
    """Methods besides the unpruned model: litelvlm:paper, "litelvlm(similarity=cosine)"."""
    budgets: tuple[int | float, ...] | None = None
    """Tokens to keep, or shares of all from 0 to 1 (default: 1/3, 2/9, 1/9 and 1/18)."""
    protocol: Literal["single", "conversation", "official"] = "single"
    """Every expression alone, all of an image in one conversation, or three drawn ones in one."""
    seeds: int = 5
    """Draws of the official protocol, and of methods that draw at random."""
    question_index: int = 0
    """Question template of protocols single and conversation, 0 to 15."""
    answer_index: int = 0
    """Answer template of protocols single and conversation, 0 to 4."""
    doubled: Literal["background", "object"] = "background"
    """Pixels where polygons of one object overlap. "background" (official): predicting one is an
    error, leaving it out is none. "object": they belong to the object."""
    empty_below: int = 50
    """Fewer predicted pixels than this mean "nothing there" (official: 1)."""
    batch_size: int = 24
    """Passes of the language model at once: what bounds memory."""

    def run(self) -> int:
        """Compute what is missing and print the scores; 1 if samples failed.

        Raises:
            ValueError: If an option is refused, before the model is loaded.
        """
        if self.task is not None:
            from litelvlm.analysis.cli.question_scores import TaskOptions, evaluate_task

            require_writable(self.out, folder=True)
            if self.protocol != "single":
                raise ValueError(
                    f"--protocol {self.protocol} belongs to referring expressions; leave it out "
                    "with --task"
                )
            given = (self.methods, self.budgets, self.seeds, self.pad, self.ocr, self.json)
            return evaluate_task(self, TaskOptions(self.task, *given))
        from litelvlm.analysis.runs.engine import complete_run
        from litelvlm.analysis.runs.folder import read_record
        from litelvlm.analysis.runs.locks import Shard
        from litelvlm.analysis.runs.origin.determinism import make_deterministic
        from litelvlm.analysis.runs.parts import read_rows
        from litelvlm.analysis.studies.sweep import STUDY
        from litelvlm.analysis.studies.sweep.scores import score_lines

        config, shard = self.configure(), Shard.parse(self.shard)
        require_writable(self.out, folder=True)
        make_deterministic(self.seed)  # before the model: it sets what CUDA reads when it starts
        # Data first: a split that does not exist is told at once, a model can take minutes.
        data, model = self.load_data(), self.load_model()
        accepted = self.accept_versions
        folder = complete_run(STUDY, model, data, config, self.out, shard, accept_versions=accepted)
        record = read_record(folder)
        if not record.complete:
            sys.stdout.write(f"{folder}: parts are missing; the same command goes on from there\n")
            return int(record.state == "failed")
        lines = score_lines(read_rows(folder), self.empty_below)
        told = {
            "run": str(folder),
            "model": model.name,
            "data": f"{data.name} {data.split} ({data.split_by})",
            "protocol": self.protocol,
            "count_note": data.count_note,
        }
        self.print_found(as_data(told, record, lines), as_text(told, record, lines))
        return int(record.state == "failed")

    def configure(self) -> Config:
        """The configuration of the sweep behind the scores.

        Raises:
            ValueError: If a value is refused.
        """
        from litelvlm.analysis.studies.sweep.config import Config

        if self.empty_below < 1:
            raise ValueError(f"--empty-below {self.empty_below} is below 1; 1 is the official rule")
        names = (
            "methods",
            "budgets",
            "protocol",
            "seeds",
            "question_index",
            "answer_index",
            "doubled",
            "batch_size",
        )
        return Config.model_validate(
            {name: getattr(self, name) for name in (*names, "limit", "seed")}
        )


def as_data(told: dict[str, str], record: RunRecord, lines: pd.DataFrame) -> dict[str, object]:
    """The scores for programs."""
    return told | {
        "state": record.state,
        "counts": record.counts.model_dump(),
        "notes": list(record.notes),
        "failures": list(record.failures),
        "scores": json.loads(lines.to_json(orient="records")),
    }


def as_text(told: dict[str, str], record: RunRecord, lines: pd.DataFrame) -> str:
    """The scores for people."""
    head = [
        f"{told['model']} on {told['data']}, protocol {told['protocol']}",
        f"{record.counts.told(' expressions')}: {record.state_in_words}",
        *filter(None, [told["count_note"]]),
        *record.notes,
        *(f"failed: {failure}" for failure in record.failures),
    ]
    shown = lines if lines["draw"].nunique() > 1 else lines.drop(columns="draw")
    table = shown.to_string(index=False, float_format="%.4f", na_rep="-")
    return "\n".join([*head, "", table, "", told["run"], ""])
