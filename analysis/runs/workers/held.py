"""What a worker process holds: a study that it has prepared for itself."""

from collections.abc import Callable
from functools import cached_property

import torch

from litelvlm.analysis.runs.engine import Job, PartResult, in_process
from litelvlm.analysis.runs.origin.determinism import make_deterministic
from litelvlm.analysis.runs.record import RunKey

RETRIES = 3
"""How often a part is given out again after its worker died."""


def check_count(count: int) -> None:
    """Refuse a number of workers that can compute nothing."""
    if count < 1:
        raise ValueError(f"{count} workers can compute nothing; ask for at least 1")


class Worker:
    """Holds a prepared study in a process of its own and computes parts.

    Args:
        make: Loads model and data and prepares the study; called with the first part.
        key: What the rows must depend on.
        threads: Of torch.
        seed: For the determinism settings.
    """

    def __init__(self, make: Callable[[], Job], key: RunKey, threads: int, seed: int) -> None:
        torch.set_num_threads(threads)
        make_deterministic(seed)
        self.make, self.key = make, key

    @cached_property
    def job(self) -> Job:
        """The study, prepared here."""
        job = self.make()
        if job.key != self.key:
            raise ValueError(
                "a worker would compute other rows than this process: "
                f"{difference(job.key, self.key)}; "
                "give every worker the same installation, model and data"
            )
        return job

    def part(self, part: int) -> PartResult:
        """Compute one part.

        Raises:
            ValueError: If the study prepared here would give other rows.
        """
        ((_, result),) = in_process([part], self.job)
        return result


def difference(worker: RunKey, run: RunKey) -> str:
    """What of two keys differs, in words."""
    theirs, ours = (key.model_dump(mode="json") for key in (worker, run))
    return "; ".join(
        f"{name} is {theirs.get(name)} there and {ours.get(name)} here"
        for name in dict.fromkeys([*theirs, *ours])
        if theirs.get(name) != ours.get(name)
    )
