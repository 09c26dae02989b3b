"""The training machinery.

Resuming is not restarting, the mask hides what it must, and every stage runs.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from torch import nn

from litelvlm.data.worlds.shapes.scenes import sample_scene
from litelvlm.training.dice import dice_loss
from litelvlm.training.finetune.learner import SMOOTHING
from litelvlm.training.finetune.recipe import FineTuneRecipe, LinearStage
from litelvlm.training.glamm.clip import patch_centres, silu_twin
from litelvlm.training.glamm.grounding import pack_conversations
from litelvlm.training.glamm.recipe import RECIPES
from litelvlm.training.glamm.sam import mask_losses, object_masks
from litelvlm.training.glamm.train import train
from litelvlm.training.loop import Stage, run_stage
from litelvlm.training.packing import IGNORE, block_mask, forward_packed, image_offsets
from litelvlm.training.pool import PADDING, ScenePool, scene_arrays
from litelvlm.training.worlds import WORLDS
from tests.glamm_parts import conversation

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return ScenePool(tmp_path_factory.mktemp("scenes"), WORLDS["shapes"], 8, workers=1)


def toy(folder, stop_at: int | None) -> torch.Tensor:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)

    def losses(step: int) -> dict[str, torch.Tensor]:
        if step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        return {"fit": (model(x) - x.sum(1, keepdim=True)).float().pow(2).mean()}

    stage = Stage("toy", steps=30, batch=8, lr=0.1, warmup=5, save_every=10)
    run_stage(stage, model, losses, folder, CPU)
    return model.weight.detach().clone()


def test_resumed_training_ends_at_the_same_weights(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    expected = toy(whole, None)
    with pytest.raises(KeyboardInterrupt):
        toy(broken, stop_at=23)
    assert torch.equal(toy(broken, None), expected)


def test_the_log_of_a_resumed_training_has_every_step_once(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        toy(tmp_path, stop_at=28)
    toy(tmp_path, None)
    lines = (tmp_path / "toy.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [25, 30]


def test_rate_warms_up_and_decays():
    stage = Stage("x", steps=110, batch=1, lr=1.0, warmup=10)
    assert stage.rate(0) == pytest.approx(0.1)
    assert stage.rate(10) == pytest.approx(1.0)
    assert stage.rate(60) == pytest.approx(0.505)  # halfway: 0.01 + 0.99 / 2
    assert stage.rate(110) == pytest.approx(0.01)


def test_linear_rate_by_hand():
    """The official fine-tuning: 100 steps up, then in a straight line to 0 behind step 2,500."""
    stage = FineTuneRecipe().stage(save_every=100)
    assert (stage.steps, stage.batch, stage.betas) == (2500, 2, (0.9, 0.95))
    rates = [stage.rate(step) for step in (0, 49, 99, 100, 1300, 2499)]
    expected = [3e-6, 1.5e-4, 3e-4, 3e-4, 1.5e-4, 3e-4 / 2400]
    assert rates == pytest.approx(expected)
    assert LinearStage("x", steps=2, batch=1, lr=1.0, warmup=5).rate(1) == pytest.approx(0.4)


def test_parts_of_a_step_are_averaged_and_every_step_counted(tmp_path):
    """Two parts of a step train as one part that holds both."""
    weights = []
    for parts in (1, 2):
        torch.manual_seed(0)
        model, counted = nn.Linear(3, 1), []
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))

        def losses(part: int, model=model, counted=counted, parts=parts, x=x):
            counted.append(part)
            own = x.chunk(parts)[part % parts]
            return {"fit": (model(own) - own.sum(1, keepdim=True)).pow(2).mean()}

        stage = Stage("toy", steps=6, batch=8, lr=0.1, warmup=2, autocast=False)
        place = tmp_path / str(parts)
        place.mkdir()
        engine = Accelerator(cpu=True, gradient_accumulation_steps=parts)
        run_stage(stage, model, losses, place, engine, parts=parts)
        assert counted == [*range(6 * parts)]
        weights.append(model.weight.detach())
    torch.testing.assert_close(*weights)


def test_dice_loss_is_the_official_one():
    """Twice the overlap of a thousandth, over the thousandths of both areas, plus a millionth."""
    draw = torch.Generator().manual_seed(0)
    logits, target = torch.randn(2, 5, 4, generator=draw), torch.rand(2, 5, 4, generator=draw)
    whole, (p, g) = torch.ones(2, 5, 4), (logits.sigmoid().flatten(1), target.round().flatten(1))
    overlap = 2 * (p / 1000 * g).sum(-1)
    expected = 1 - (overlap + 1e-6) / ((p / 1000).sum(-1) + (g / 1000).sum(-1) + 1e-6)
    torch.testing.assert_close(dice_loss(logits, target.round(), whole, SMOOTHING), expected)
    half = whole.clone()
    half[:, :, 2:] = 0  # what does not count may be anything
    changed = torch.where(half > 0, logits, logits + 7)
    torch.testing.assert_close(
        dice_loss(logits, target, half, 1.0), dice_loss(changed, target, half, 1.0)
    )


def test_a_state_of_other_parameters_is_refused(tmp_path):
    toy(tmp_path, None)
    other = nn.Sequential(nn.Linear(3, 1))
    stage = Stage("toy", steps=30, batch=8, lr=0.1)
    with pytest.raises(ValueError, match="state of another training"):
        run_stage(stage, other, lambda part: {}, tmp_path, CPU)


def test_block_mask_by_hand():
    # prefix of 1, two suffixes of 2: positions 0 | 1 2 | 3 4
    allowed = block_mask(1, 2, 2)[0, 0] == 0
    expected = [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 0, 0, 1, 0],
        [1, 0, 0, 1, 1],
    ]
    assert allowed.int().tolist() == expected


def test_image_offsets_are_increasing_and_often_irregular():
    rng = np.random.default_rng(0)
    rows = [image_offsets(144, rng) for _ in range(200)]
    assert all((np.diff(r) >= 0).all() for r in rows)
    plain = np.mean([np.array_equal(r, np.arange(144)) for r in rows])
    assert 0.4 < plain < 0.6
    assert max(r[-1] for r in rows) <= 288


@torch.inference_mode()
def test_packed_states_equal_separate_passes(model, pool):
    """One row with three expressions gives each the state it has in a pass of its own."""
    from tests.glamm_parts import decode

    tokens = model.tower.image(pool[np.array([0])].crop).patch_tokens
    talks = [
        conversation(["the red circle"]),
        conversation(["the large cross"], 2, 3),
        conversation(["a"], 5, 4),
    ]
    plain = np.random.default_rng(2)  # its first draw is 0.26: plain offsets
    visual = model.project(tokens)
    packed = pack_conversations(model.tokenizer, visual.shape[1], [talks], plain)
    (states,) = forward_packed(model.llama, packed, visual).seg_states
    for i, talk in enumerate(talks):
        alone = model.splice([visual[0]], [talk], [None])
        expected = decode(model.llama, alone.embeds, alone.position_ids)[0, alone.seg_index[0][0]]
        torch.testing.assert_close(states[i], expected, atol=1e-4, rtol=1e-4)
    answers = model.tokenizer.decode(packed.labels[packed.labels != IGNORE].tolist())
    assert answers.count("[SEG]") == 3


def test_pool_holds_what_the_scene_shows(pool):
    scene = sample_scene(1_000_000)
    (_, _, ids, coverage), meta = scene_arrays(scene, WORLDS["shapes"])
    batch = pool[np.array([0])]
    assert torch.equal(batch.ids[0], torch.from_numpy(ids))
    assert meta == pool.meta[0]
    height, width = scene.image.shape[:2]
    assert (ids == PADDING).mean() == pytest.approx(
        1 - min(height, width) / max(height, width), abs=0.02
    )
    crop = scene.masks[:, (height - 168) // 2 :, (width - 168) // 2 :][:, :168, :168]
    np.testing.assert_allclose(
        coverage[:, : len(crop)].sum(0) / 255 * 196, crop.sum((1, 2)), rtol=0.02, atol=5
    )


def test_patch_centres_are_in_raster_order():
    xy = patch_centres()
    assert xy[0].tolist() == pytest.approx([-11 / 12, -11 / 12])
    assert xy[1].tolist() == pytest.approx([-9 / 12, -11 / 12])
    assert xy[-1].tolist() == pytest.approx([11 / 12, 11 / 12])


def test_object_masks_and_losses_by_hand():
    ids = torch.zeros(1, 4, 4, dtype=torch.uint8)
    ids[0, :2, :2] = 1
    ids[0, :, 3] = PADDING
    target, valid = object_masks(ids, torch.tensor([[0]]))
    assert target[0, 0].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert valid[0, 0].tolist() == [[1.0, 0.0], [1.0, 0.0]]
    perfect = mask_losses((target - 0.5) * 40, target, valid)
    assert float(perfect["_iou"]) == 1
    assert float(perfect["bce"]) < 1e-6
    assert float(perfect["dice"]) < 1e-6
    assert float(mask_losses((0.5 - target) * 40, target, valid)["dice"]) > 0.6


@torch.inference_mode()
def test_silu_twin_is_the_same_function_and_leaves_no_trace(model, pool):
    clip = model.tower.clip
    before = {k: v.clone() for k, v in clip.state_dict().items()}
    crop = pool[np.array([0, 1])].crop
    expected = model.tower.image(crop).patch_tokens
    with silu_twin(clip):
        inside = model.tower.image(crop).patch_tokens
    torch.testing.assert_close(inside, expected, atol=1e-3, rtol=1e-3)
    for name, value in clip.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=1e-6, rtol=1e-5)
    clip.load_state_dict(before)


@pytest.mark.parametrize(
    ("world", "autocast", "steps", "batch"), [("pictograms", True, 1, 2), ("shapes", False, 2, 4)]
)
def test_every_stage_runs_and_yields_a_model_that_segments(world, autocast, steps, batch, tmp_path):
    """Autocast takes few steps: a processor without bfloat16 instructions needs long for each."""
    recipe = replace(RECIPES[world], scenes=8)
    short = {
        n: replace(getattr(recipe, n), steps=steps, batch=batch, warmup=1, autocast=autocast)
        for n in ("clip", "sam", "point", "joint")
    }

    def trained():
        return train(
            replace(recipe, **short), tmp_path / "out", tmp_path / "scenes", seed=3, device=CPU
        )

    first = trained()
    scene = WORLDS[world].sample(5)
    mask = first.segment(Image.fromarray(scene.image), scene.expressions[0].sent).mask
    assert mask.shape == (1, *scene.image.shape[:2])
    weights = [dict(m.named_parameters()) for m in (first, trained())]
    assert all(torch.equal(weights[0][n], weights[1][n]) for n in weights[0])


def test_a_folder_belongs_to_one_recipe_and_seed(tmp_path):
    (tmp_path / "recipe.json").write_text('{"seed": 4}')
    with pytest.raises(ValueError, match="another recipe, seed or start"):
        train(RECIPES["shapes"], tmp_path, tmp_path / "scenes", seed=5, device=CPU)
