"""Fine-tune a GLaMM, from its last saved state if there is one, and write the merged model."""

from pathlib import Path
from uuid import uuid4

from transformers import LlamaForCausalLM

from litelvlm.data.dataset import Dataset
from litelvlm.models.files import digest
from litelvlm.models.glamm.model import Glamm
from litelvlm.pruning.outside.own_code import method_digests
from litelvlm.training.checkpoints import claim_folder
from litelvlm.training.finetune.adapters import (
    add_adapters,
    check_packages,
    check_trainable,
    merged_folders,
    save_merged,
)
from litelvlm.training.finetune.examples import Examples
from litelvlm.training.finetune.learner import Learner
from litelvlm.training.finetune.memory import check_memory
from litelvlm.training.finetune.recipe import FineTuneRecipe
from litelvlm.training.loop import run_stage

RECORD = "finetune.json"
CHECKPOINT = "checkpoint"
"""Folder of the merged model inside that of a fine-tuning."""
SAVE_EVERY = 100


def fine_tune(
    model: Glamm,
    data: Dataset,
    recipe: FineTuneRecipe,
    out: Path,
    save_every: int = SAVE_EVERY,
    keep_states: bool = False,
) -> Path:
    """Train and write the merged model; a finished one is left, an interrupted one goes on.

    On a CPU the weights follow bit for bit from the recipe, the model, the data and the number of
    processes. Processes that ``accelerate launch`` starts share each part of a step.

    Args:
        model: As ``load_model`` gives it. It is trained in place and is then the merged model, with
            its name and digest; so have the digest all models that share its weights
            (``with_options``). After an error or an interrupt it has a digest of its own and cannot
            be used here again. Where the folder is finished already, it is left as it is; load the
            merged model then.
        data: A split with masks.
        recipe: Everything else that decides the weights.
        out: Folder of the fine-tuning.
        save_every: Steps between states on disk.
        keep_states: Whether the states inside the language model's layers are kept for their
            gradients, instead of being computed again: faster, with more memory.

    Returns:
        The folder of the merged model, which every command takes.

    Raises:
        ValueError: If a package is missing, the model cannot be trained, the method cannot keep to
            the budget, the data have no masks or fewer images than a batch, memory does not
            suffice, or ``out`` holds something else.
    """
    check_packages()
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    check_trainable(model)
    examples = Examples.of(data, recipe.expressions)
    if recipe.batch > len(examples):
        raise ValueError(
            f"batch {recipe.batch} is more than the {len(examples)} images of {data.name} "
            f"{data.split} that can be learned from; lower it"
        )
    engine = Accelerator(
        cpu=model.device.type == "cpu",
        mixed_precision="no",  # a setting of the process there; the learner knows its own
        gradient_accumulation_steps=recipe.accumulation,
        # SAM's decoder has slots that one mask does not use.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    learner = Learner(model, examples, recipe, engine.process_index, engine.num_processes)
    with engine.main_process_first():  # the others find the folder claimed
        claim(out, learner, data, recipe, engine.num_processes)
    finished = out / CHECKPOINT
    if finished.exists():
        return finished
    source, folders = model.origin.folders[0], merged_folders(model, finished)
    # Until the end the weights are those of no file.
    model.becomes(f"{out} (not finished)", f"unfinished-{uuid4().hex}")
    merge = add_adapters(model, recipe)
    most = max([kept for _, kept in learner.methods] or [model.n_tokens])
    check_memory(model, recipe, most, keep_states)
    if not keep_states:
        recompute_layers(model.llama)
    stage = recipe.stage(save_every)
    prepared = engine.prepare_model(learner)
    run_stage(stage, prepared, prepared, out, engine, parts=recipe.accumulation)
    merge()
    if engine.is_main_process:
        save_merged(model, source, finished)
        (out / f"{stage.name}.safetensors").unlink(missing_ok=True)
    engine.wait_for_everyone()
    model.becomes(str(finished), digest(*folders), folders)
    return finished


def recompute_layers(llama: LlamaForCausalLM) -> None:
    """Keep no states inside the layers for their gradients."""
    # Newer releases of the library have another name for it.
    for name in ("activation_checkpointing_enable", "gradient_checkpointing_enable"):
        if hasattr(llama, name):
            getattr(llama, name)({"use_reentrant": False})
            return


def claim(
    out: Path, learner: Learner, data: Dataset, recipe: FineTuneRecipe, processes: int
) -> None:
    """Make the folder belong to this fine-tuning.

    Raises:
        ValueError: If it holds another, or other files.
    """
    if out.exists() and any(out.iterdir()) and not (out / RECORD).exists():
        raise ValueError(f"{out} holds other files and no fine-tuning; choose another folder")
    model = learner.model
    plan = recipe.model_dump(mode="json") | {
        "model": model.digest,
        "dtype": str(model.dtype).removeprefix("torch."),
        "options": str(model.options),
        "attention": dict(model.attention_kernels),
        "device": model.device.type,
        "data": data.digest,
        "processes": processes,
    }
    if own := method_digests([method for method, _ in learner.methods[:1]]):
        plan["code of the method"] = own
    claim_folder(out, plan, RECORD)
