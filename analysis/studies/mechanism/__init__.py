"""Which part of CLIP makes the referent's tokens dissimilar to the text?

Each probe changes one thing about how patch similarity is computed and keeps the rest: the layer
(P1), the last blocks' attention and MLP (P2 to P4), tokens of outlying norm (P5), what texts or
patches have in common (P6), the words (P7). ``probes`` names each; the ranking as released is P0.
The fall RI_0 - RI_P says how much of the reversal goes away with that thing, in points of the
index. It is given only where the interval of RI_0 excludes 0, since of nothing no part can go away.
(A share, 1 - RI_P / RI_0, would range from -25 to 15 where RI_0 is small.) The words follow the
widest interval, over images and categories where there are three or more, and a margin, .05 by
default:

    removed      the upper end of RI_P's interval lies below .05
    flipped      it lies below 0
    kept         the fall lies within .05 of 0
    attenuated   the fall lies above 0
    amplified    it lies below 0: RI grows
    open         none of these

Below 20 images no such word is given.

The probes are exploratory: p-values are adjusted over them by Benjamini and Hochberg. P0, the
ranking as released, is what the others are compared with: no claim, and no member of that family.

The readouts of the last blocks (P0 to P4) are also scored as open-vocabulary segmentation, which
ClearCLIP (P4a) and SCLIP (P4b) were made for: the table "dense" has the mean IoU of the referents'
patches, each called the category whose name is most similar to it. No claim rests on it.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.mechanism.claims import interpret, make_claims
from litelvlm.analysis.studies.mechanism.config import Config
from litelvlm.analysis.studies.mechanism.prepare import prepare
from litelvlm.analysis.studies.mechanism.rows import COLUMNS
from litelvlm.analysis.studies.mechanism.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="mechanism",
    question=QUESTIONS["mechanism"],
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
)
