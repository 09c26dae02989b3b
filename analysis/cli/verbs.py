"""The verbs of the command line that do work; `completion`, which lists them, stands beside."""

from litelvlm.analysis.cli.audit import Audit
from litelvlm.analysis.cli.bench import Bench
from litelvlm.analysis.cli.check import Check
from litelvlm.analysis.cli.convert import Convert
from litelvlm.analysis.cli.demo import Demo
from litelvlm.analysis.cli.doctor import Doctor
from litelvlm.analysis.cli.evaluate import Evaluate
from litelvlm.analysis.cli.explore import Explore
from litelvlm.analysis.cli.figure import Figure
from litelvlm.analysis.cli.leaderboard import Leaderboard
from litelvlm.analysis.cli.ls import Ls
from litelvlm.analysis.cli.report import Report
from litelvlm.analysis.cli.reproduce import Reproduce
from litelvlm.analysis.cli.segment import Segment
from litelvlm.analysis.cli.show import Show
from litelvlm.analysis.cli.study import Study

VERBS = {
    cls.__name__.lower(): cls
    for cls in (
        Segment,
        Evaluate,
        Study,
        Bench,
        Reproduce,
        Leaderboard,
        Figure,
        Report,
        Explore,
        Demo,
        Show,
        Ls,
        Check,
        Doctor,
        Convert,
        Audit,
    )
}
