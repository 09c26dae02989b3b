"""`litelvlm finetune`: read the options, train, and print where the merged model is."""

import torch

from litelvlm.analysis.cli.actions.loading import data_of, load_as
from litelvlm.analysis.cli.verbs.finetune import FineTune
from litelvlm.analysis.runs.origin.determinism import make_deterministic
from litelvlm.models.glamm.model import Glamm
from litelvlm.training.finetune.adapters import check_packages
from litelvlm.training.finetune.recipe import FineTuneRecipe
from litelvlm.training.finetune.train import fine_tune


def run(verb: FineTune) -> int:
    """Train and print the folder of the merged model.

    Raises:
        ValueError: If an option is refused.
    """
    recipe = FineTuneRecipe.model_validate(verb.given(*FineTuneRecipe.model_fields))
    check_packages()
    from accelerate import PartialState

    make_deterministic(verb.seed)
    # On a GPU the gradient of resizing may have no deterministic kernel; only a CPU repeats itself.
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Each process of several has a GPU of its own, which must be known before a model is loaded.
    PartialState(cpu=verb.device == "cpu" or not torch.cuda.is_available())
    data, model = data_of(verb), load_as(verb, Glamm)
    folder = fine_tune(
        model,
        data,
        recipe,
        verb.out,
        save_every=verb.save_every,
        keep_states=verb.keep_states,
    )
    verb.print_found({"model": str(folder)}, f"{folder}\n")
    return 0
