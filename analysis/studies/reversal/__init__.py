"""Do the referent's tokens have low similarity to the text, and does that depend on the text?

LiteLVLM keeps the tokens *least* similar to the question. Per expression this study asks how far
the similarity ranks the referent's tokens below the rest (reversal index RI = 1 - 2 AUROC, positive
when they are lower) and repeats the question with controls, each of which takes one explanation
away:

    N1   texts of other images and other categories (other_text); N1c of the same category
         (same_category_text)
    N2   no text: empty, "a photo", the question's own words alone, and the mean of many texts
         (no_text)
    N3   masks of other images, of similar size: what the centre of pictures gives (other_masks)
    N4   the same mask moved round the grid (moved_mask; mean over shifts, must be near 0)
    N5   random connected blobs of the same size (random_blobs)
    N6   the mask of another object of the same category in the same image (same_category_object);
         N6o of another category (other_category_object)
         (where the data state no categories, N1 takes any other image's text, N6o any other object,
         and N6 is missing)
    N7   scores without any text: distance from the centre, norms of states and values, cosine to
         CLS, context score (text_free)
    N8   towers of the same shape with random weights: true minus foreign text must be 0
         (random_weights)

H1 (reversal beyond the centre), H2 (it is larger with the true text) and H3 (it is stronger on the
referent than on another object of its category) are separate: H1 with both H2 and H3 shown not to
hold is a text-independent background preference. To show that a claim does not hold takes a margin:
what two one-sided tests place within it counts as no difference (0.05 of RI by default, below which
a probe counts as having removed the reversal). N4 and N8 are held to it too. Other CLIP models,
named by ``clip``, are read on the same expressions with grids and crops of their own.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.reversal.claims import interpret, make_claims
from litelvlm.analysis.studies.reversal.config import Config
from litelvlm.analysis.studies.reversal.examples import save_reversal_examples
from litelvlm.analysis.studies.reversal.prepare import prepare
from litelvlm.analysis.studies.reversal.rows import COLUMNS
from litelvlm.analysis.studies.reversal.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="reversal",
    question=QUESTIONS["reversal"],
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
    pictures=save_reversal_examples,
)
