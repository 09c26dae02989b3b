"""What a training step of the image tower costs: ``python benchmarks/training_step.py``.

Forward and backward of 128 scenes in bfloat16, one CPU thread: the library's tower, the same
function as the first stage of a miniature trains it, and that compiled. The three take turns.
"""

from collections.abc import Callable
from time import perf_counter

import torch
from common import run, spread, within
from torch import Tensor

from litelvlm.models.glamm.preprocess import CLIP_MEAN, CLIP_STD
from litelvlm.training.arrays import normalised
from litelvlm.training.clip_parts import new_clip
from litelvlm.training.glamm.clip import silu_twin
from litelvlm.training.glamm.image_tower import image_reader, read_images
from litelvlm.training.glamm.recipe import RECIPES
from litelvlm.training.glamm.sizes import CLIP_SIZE, clip_config

STAGE = RECIPES["pictograms"].clip
WORDS = 1_000


def measure(rounds: int = 15, minutes: float = 10.0) -> dict[str, object]:
    """Seconds of each, its share of the library's in the same round, and the largest difference."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    clip = new_clip(clip_config(WORDS)).train()
    pixels = torch.randint(0, 256, (STAGE.batch, CLIP_SIZE, CLIP_SIZE, 3), dtype=torch.uint8)
    compiled = image_reader(STAGE.steps)

    def library() -> tuple[Tensor, Tensor]:
        images = normalised(pixels.float() / 255, CLIP_MEAN, CLIP_STD)
        out = clip.vision_model(images, output_hidden_states=True)
        return out.hidden_states[-2][:, 1:], clip.visual_projection(out.pooler_output)

    arms: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
        "library": library,
        "own": lambda: read_images(clip, pixels),
        "own, compiled": lambda: compiled(clip, pixels),
    }

    def step(read: Callable[[], tuple[Tensor, Tensor]]) -> float:
        begun = perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            patches, embeds = read()
            loss = patches.float().square().mean() + embeds.float().square().mean()
        loss.backward()
        clip.zero_grad(set_to_none=True)
        return perf_counter() - begun

    with silu_twin(clip):
        first = {arm: step(read) for arm, read in arms.items()}
        times = [{arm: step(read) for arm, read in arms.items()} for _ in within(minutes, rounds)]
        with torch.no_grad():
            states = {arm: read() for arm, read in arms.items()}
    return {
        "first_seconds": first,
        "seconds": {arm: spread([one[arm] for one in times]) for arm in arms},
        "share": {arm: spread([one[arm] / one["library"] for one in times]) for arm in arms},
        "difference": {
            arm: max(
                float((ours - theirs).detach().abs().max())
                for ours, theirs in zip(found, states["library"], strict=True)
            )
            for arm, found in states.items()
        },
    }


if __name__ == "__main__":
    run(measure)
