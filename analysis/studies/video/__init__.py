"""What does pruning do to clips, and where in the model must it happen?

A VideoGLaMM reads each frame twice: CLIP's tokens are pooled behind the projector, the video
tower's beside them. The paper's budgets count tokens before the pooling, where fewer of them spare
the language model nothing. So every method runs at five prune points (``models.video_glamm``), and
each score stands beside the tokens that the language model really reads.

Masks are scored by J&F, the mean over frames of the overlap and of the agreement of outlines, each
expression against its own object. The nulls are the paper's share of the unpruned J&F, VisPruner
and random tokens. At V4, where one budget serves all frames, three controls choose in time alone.
Another window tells what the model loses where the text does not see the first frames. Where all
expressions of a clip are asked, objects are also paired anew, as in unsupervised DAVIS.

Source: the budgets and shares are those of LiteLVLM's project page (``published_video``).
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.video.claims import interpret, make_claims
from litelvlm.analysis.studies.video.config import Config
from litelvlm.analysis.studies.video.prepare import prepare
from litelvlm.analysis.studies.video.rows import COLUMNS
from litelvlm.analysis.studies.video.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="video",
    question=QUESTIONS["video"],
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
)
