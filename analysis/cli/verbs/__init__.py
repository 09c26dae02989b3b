"""The verbs of the command line."""

from litelvlm.analysis.cli.verbs.audit import Audit
from litelvlm.analysis.cli.verbs.bench import Bench
from litelvlm.analysis.cli.verbs.check import Check
from litelvlm.analysis.cli.verbs.convert import Convert
from litelvlm.analysis.cli.verbs.demo import Demo
from litelvlm.analysis.cli.verbs.evaluate import Evaluate
from litelvlm.analysis.cli.verbs.explore import Explore
from litelvlm.analysis.cli.verbs.figure import Figure
from litelvlm.analysis.cli.verbs.finetune import FineTune
from litelvlm.analysis.cli.verbs.leaderboard import Leaderboard
from litelvlm.analysis.cli.verbs.ls import Ls
from litelvlm.analysis.cli.verbs.report import Report
from litelvlm.analysis.cli.verbs.reproduce import Reproduce
from litelvlm.analysis.cli.verbs.segment import Segment
from litelvlm.analysis.cli.verbs.show import Show
from litelvlm.analysis.cli.verbs.study import StudyVerb

VERBS = {
    cls.verb(): cls
    for cls in (
        Segment,
        Evaluate,
        StudyVerb,
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
        Convert,
        FineTune,
        Audit,
    )
}
