"""Does the choice of tokens still matter once the model may adapt to it?

A GLaMM is fine-tuned with every token, and with the tokens that each method keeps: the same steps,
the same images and the same recipe, several times with other seeds. Each fine-tuned model, and the
model before, is evaluated on images that it was not trained on, with every method and budget.

The gap is the cIoU of the uniform grid minus that of the paper's method. After fine-tuning each of
the two has a model of its own. Its null is 0: the choice is nothing that the model cannot adapt to.
What fine-tuning closes is the gap before minus the gap after. Its null is 0 too.

The ranking of methods survives if their cIoU before and after go together, by Kendall's tau. Its
null is 0: an order that has nothing to do with the one before.

A model is bound to its method if it scores higher with it than models that were fine-tuned with
other methods do. Its null is 0: it only learned to read fewer tokens, whichever they are.

The unit is the training. An interval counts trainings and images together, unless it says that it
counts one of the two.
"""

from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import QUESTIONS
from litelvlm.analysis.studies.finetuning.claims import interpret, make_claims
from litelvlm.analysis.studies.finetuning.config import Config
from litelvlm.analysis.studies.finetuning.prepare import prepare
from litelvlm.analysis.studies.finetuning.rows import COLUMNS
from litelvlm.analysis.studies.finetuning.tables import make_tables

__all__ = ["STUDY", "Config", "interpret", "make_claims", "make_tables"]

STUDY = Study(
    name="finetuning",
    question=QUESTIONS["finetuning"],
    Config=Config,
    prepare=prepare,
    columns=COLUMNS,
    claims=make_claims,
    tables=make_tables,
    interpret=interpret,
)
