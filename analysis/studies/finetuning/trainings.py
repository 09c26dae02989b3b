"""The fine-tuned models of the study: read where they are finished, else trained."""

from collections.abc import Iterator
from copy import deepcopy
from typing import NamedTuple

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.studies.finetuning.config import Config
from litelvlm.data.dataset import Dataset
from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.model import Glamm
from litelvlm.training.finetune.adapters import merged_folders
from litelvlm.training.finetune.recipe import FineTuneRecipe
from litelvlm.training.finetune.train import fine_tune

UNTUNED = "untuned"
"""What rows call the model before any fine-tuning."""
NO_TRAINING = -1
"""What rows call the training of that model."""


class Tuned(NamedTuple):
    """A model and how it was fine-tuned.

    Attributes:
        tuned_with: Label of the method; "none" with every token, ``UNTUNED`` without a training.
        training: Seed of the training.
        model: The merged model.
    """

    tuned_with: str
    training: int
    model: Glamm


def recipe_of(config: Config, method: str, seed: int) -> FineTuneRecipe:
    """How one model is fine-tuned."""
    return FineTuneRecipe(
        pruner=method,
        budget=() if method == UNPRUNED else (config.budget,),
        steps=config.steps,
        batch=config.batch,
        accumulation=1,
        warmup=config.warmup,
        lr=config.lr,
        seed=seed,
    )


def tuned_models(model: Glamm, data: Dataset, config: Config) -> Iterator[Tuned]:
    """The model before, then every fine-tuned one, seed by seed.

    The fine-tuned ones are loaded as the model was: with its number type, kernel, options and CLIP.

    Args:
        model: The model before.
        data: To train on.
        config: Of the study.

    Raises:
        ValueError: If a folder holds another training, or the model cannot be trained.
    """
    yield Tuned(UNTUNED, NO_TRAINING, model)
    for seed in range(config.trained_seeds):
        for method in (UNPRUNED, *(one.label for one in config.methods)):
            out = config.trainings / f"{method}-{seed}"
            recipe = recipe_of(config, method, seed)
            # The model changes in place, so a copy is trained.
            folder = fine_tune(deepcopy(model), data, recipe, out, keep_states=True)
            tuned = load_model(
                folder,
                model.dtype,
                model.device,
                model.attention_kernels["llama"],
                options=model.options,
                clip=merged_folders(model, folder)[1],
            )
            yield Tuned(method, seed, tuned)
