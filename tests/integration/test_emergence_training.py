"""Small CLIPs: towers as asked for, scenes in arrays, training that can be stopped."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from litelvlm.clip.probes.text import eos_attention, trace_text
from litelvlm.training import __main__ as command
from litelvlm.training.trainings import train as training
from litelvlm.training.trainings.factors import Factors, Member
from litelvlm.training.trainings.pixels import HELD_OUT_SEED, PixelPool, draw_scene, pack_scene
from litelvlm.training.trainings.scenes import (
    GRID,
    NAMES,
    chosen_categories,
    draw_symbols,
)
from litelvlm.training.trainings.towers import new_tower
from litelvlm.training.trainings.train import (
    PairLoss,
    PatchHelper,
    load_tower,
    read_member,
    snapshots,
    sos_shortfall,
    train_member,
)

TINY = Factors(
    image="grid", width=16, text_depth=2, image_depth=2, categories=8, steps=16, batch=8, rate=1e-3
)


def weights(folder):
    member = read_member(folder)
    return load_tower(member.factors, snapshots(folder)[member.factors.steps]).state_dict()


@pytest.mark.parametrize(
    "changes", [{}, {"image": "bag", "sos_loss": 1.0}, {"image": "pixels", "helper": 1.0}]
)
def test_a_stopped_training_ends_at_the_same_weights(tmp_path, monkeypatch, changes):
    monkeypatch.setattr(training, "SAVE_EVERY", 5)
    pool = training.PixelPool
    monkeypatch.setattr(training, "PixelPool", lambda folder, factors: pool(folder, factors, 16))
    member = Member("C", "tiny", replace(TINY, **changes), 3)
    whole = train_member(member, tmp_path / "whole", tmp_path / "scenes")
    plain = training.step_losses

    def stopping(pupil, table, member, step):
        if step == 12:
            raise KeyboardInterrupt
        return plain(pupil, table, member, step)

    monkeypatch.setattr(training, "step_losses", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_member(member, tmp_path / "broken", tmp_path / "scenes")
    monkeypatch.setattr(training, "step_losses", plain)
    broken = train_member(member, tmp_path / "broken", tmp_path / "scenes")
    assert sorted(snapshots(whole)) == [0, 2, 4, 8, 16]
    first, second = weights(whole), weights(broken)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    start = load_tower(member.factors, snapshots(whole)[0]).state_dict()
    assert any(not torch.equal(start[name], first[name]) for name in first)
    # A finished training is left as it is, and another one does not take its folder.
    monkeypatch.setattr(training, "step_losses", None)
    assert train_member(member, tmp_path / "whole", tmp_path / "scenes") == whole
    other = replace(member, factors=replace(member.factors, rate=2e-3))
    with pytest.raises(ValueError, match="another recipe, seed or start"):
        train_member(other, tmp_path / "whole", tmp_path / "scenes")
    with pytest.raises(FileNotFoundError, match=r"python -m litelvlm\.training trainings"):
        read_member(tmp_path)


def test_the_loss_of_a_sink_makes_one(tmp_path):
    """Sixteen steps move the attention on [SOS] upwards, and nothing does so without the loss."""
    shares, short = {}, {}
    for weight in (0.0, 10.0):
        factors = replace(TINY, image="bag", sos_loss=weight, rate=1e-2)
        member = Member("C", f"sos_loss-{weight}", factors, 0)
        train_member(member, tmp_path, tmp_path / "scenes")
        towers = {
            step: load_tower(factors, path)
            for step, path in snapshots(tmp_path / member.name).items()
        }
        with torch.inference_mode():
            traces = [trace_text(towers[step], ["a dog", "the red cat"]) for step in (0, 16)]
            shares[weight] = [float(eos_attention(trace)[..., 0].mean()) for trace in traces]
            short[weight] = [float(sos_shortfall(trace)) for trace in traces]
    assert shares[0.0][0] == shares[10.0][0]
    assert shares[10.0][1] > 0.6 > shares[0.0][1]
    assert short[10.0][1] < short[10.0][0] / 2
    assert short[0.0][1] > short[0.0][0] / 2


def test_a_helper_joins_when_it_should(tmp_path):
    """Before it joins, the weights are those without a helper; afterwards they are not."""
    parts = {
        name: train_member(Member("C", name, replace(TINY, **changes), 0), tmp_path, tmp_path)
        for name, changes in {
            "none": {},
            "late": {"helper": 1.0, "helper_from": 0.5},
            "always": {"helper": 1.0},
        }.items()
    }
    for step, same in ((4, True), (8, True), (16, False)):
        none, late, always = (
            load_tower(replace(TINY), snapshots(parts[name])[step]).state_dict() for name in parts
        )
        assert all(torch.equal(none[key], late[key]) for key in none) is same
        assert not all(torch.equal(always[key], late[key]) for key in none)


def test_a_record_without_a_newer_condition_is_read_with_its_default(tmp_path):
    member = Member("A", "tiny", replace(TINY, image="bag"), 0)
    folder = train_member(member, tmp_path, tmp_path)
    record = folder / "member.json"
    values = json.loads(record.read_text())
    del values["factors"]["sos_loss"]
    record.write_text(json.dumps(values))
    assert read_member(folder) == member
    assert train_member(member, tmp_path, tmp_path) == folder


def test_interrupted_trainings_say_what_is_kept_and_goes_on(tmp_path, monkeypatch, capsys):
    # Whoever runs the tests in the background of a shell ignores interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    member, plain = Member("A", "tiny", TINY, 0), training.step_losses
    monkeypatch.setattr(training, "SAVE_EVERY", 5)
    monkeypatch.setattr(command, "members", lambda stages: [member])
    words = ["trainings", "--out", str(tmp_path / "broken")]

    def stopping(pupil, table, member, step):
        if step == 12:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(pupil, table, member, step)

    try:
        monkeypatch.setattr(training, "step_losses", stopping)
        assert command.main(words) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr().err
    assert "finished trainings and saved states are kept; run the same command again" in said
    assert "Traceback" not in said
    steps = []

    def counting(pupil, table, member, step):
        steps.append(step)
        return plain(pupil, table, member, step)

    monkeypatch.setattr(training, "step_losses", counting)
    assert command.main(words) == 0
    assert 0 < steps[0] <= 12


@pytest.mark.parametrize("words", [["--seeds", "0"], ["--stage"]])
def test_a_choice_of_no_training_is_refused(tmp_path, words):
    with pytest.raises(SystemExit, match="nothing to train; name at least one --stage"):
        command.main(["trainings", "--out", str(tmp_path), *words])


def test_symbols_are_what_the_table_says():
    factors = replace(TINY, categories=64)
    table = draw_symbols(factors, 40, np.random.default_rng(0))
    again = draw_symbols(factors, 40, np.random.default_rng(0))
    assert torch.equal(table.pixels, again.pixels)
    assert table.pixels.shape[2:] == (GRID, GRID)
    assert table.coverage.sum(-1).max() == 1
    allowed = set(chosen_categories(64))
    for scene in range(40):
        kinds = [int(c) for c in table.category[scene] if c >= 0]
        assert 1 <= len(kinds) <= 4
        assert len(set(kinds)) == len(kinds)
        assert set(kinds) <= allowed
        cells = table.coverage[scene].sum(0)
        assert ((cells > 0).numpy() == (table.category[scene] >= 0)).all()
        assert len(table.things(scene)) == len(kinds)
        # A large object has nine cells, a small one four (or one where there was no room).
        for slot in range(len(kinds)):
            assert int(cells[slot]) in ((9,) if table.large[scene, slot] else (4, 1))


def test_pixel_pool_holds_the_rendered_scenes(tmp_path):
    pool = PixelPool(tmp_path, Factors(clutter=2, categories=16), 6, HELD_OUT_SEED, "all")
    table = pool.table(np.arange(6))
    for i in range(6):
        scene = draw_scene(HELD_OUT_SEED + i, 2, 16, "all")
        assert [thing.category for thing in table.things(i)] == list(scene.categories)
        assert table.place_name(i) == scene.place
        share = scene.masks.reshape(-1, 8, 10, 8, 10).mean((2, 4)).reshape(len(scene.masks), -1)
        assert np.allclose(table.coverage[i, :, : len(share)].numpy().T, share, atol=1 / 255)
        assert np.array_equal(pack_scene(scene)[0], scene.image)
        assert {NAMES.index(name) for name in scene.categories} <= set(chosen_categories(16))
    made = sorted(tmp_path.rglob("*.npy"))
    stamps = [path.stat().st_mtime_ns for path in made]
    PixelPool(tmp_path, Factors(clutter=2, categories=16), 6, HELD_OUT_SEED, "all")
    assert [path.stat().st_mtime_ns for path in made] == stamps
    epochs = [pool.indices(0, step, 2) for step in range(6)]
    assert sorted(np.concatenate(epochs[:3]).tolist()) == list(range(6))
    assert not all(np.array_equal(a, b) for a, b in zip(epochs[:3], epochs[3:], strict=True))


def test_towers_have_what_their_conditions_ask_for():
    torch.manual_seed(0)
    plain = new_tower(TINY)
    table = draw_symbols(TINY, 3, np.random.default_rng(0))
    with torch.inference_mode():
        image = plain.image(table.pixels)
        assert image.patch_tokens.shape == (3, GRID * GRID, 16)
        torch.manual_seed(0)
        spare = new_tower(replace(TINY, registers=4, pooling="mean"))
        seen = spare.image(table.pixels)
        assert spare.n_prefix == 5
        assert seen.patch_tokens.shape == (3, GRID * GRID, 16)
        last = seen.last_hidden_state
        assert last.shape[1] == 5 + GRID * GRID
        assert torch.allclose(seen.image_embeds, spare.project(last[:, 5:].mean(1)))
        torch.manual_seed(0)
        words = new_tower(replace(TINY, text_pooling="words"))
        first, second = words.text(["dog"]).text_embeds, words.text(["dog cat"]).text_embeds
        assert not torch.allclose(first, second)
        padded = words.text(["dog", "cat dog cat"]).text_embeds[:1]
        assert torch.allclose(first, padded, atol=1e-5)
        assert torch.isfinite(words.text([""]).text_embeds).all()
        torch.manual_seed(0)
        sharp = new_tower(replace(TINY, sharpness=4.0))
    own, sharper = (tower.clip.text_model.encoder.layers[0].self_attn for tower in (plain, sharp))
    assert torch.allclose(sharper.q_proj.weight, 4 * own.q_proj.weight)
    assert torch.allclose(sharper.v_proj.weight, own.v_proj.weight)


def test_pair_losses_by_hand():
    image = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    softmax, sigmoid = PairLoss("softmax"), PairLoss("sigmoid")
    loss, found = softmax(image, 3 * image)
    assert loss.item() == pytest.approx(np.log1p(np.exp(-14.3)), abs=1e-6)
    assert found.item() == 1
    assert softmax(image, image.flip(0))[1].item() == 0
    # Scale 10, bias -10: own pairs have logit 0, others -10.
    expected = np.log(2) + np.log1p(np.exp(-10))
    assert sigmoid(image, image)[0].item() == pytest.approx(expected, rel=1e-5)
    assert not softmax.bias.requires_grad
    assert sigmoid.bias.requires_grad


def test_helper_reads_the_category_of_each_patch():
    torch.manual_seed(0)
    table = draw_symbols(TINY, 12, np.random.default_rng(0))
    tokens = table.pixels.flatten(2).transpose(1, 2)
    helper = PatchHelper(tokens.shape[-1])
    optimiser = torch.optim.Adam(helper.parameters(), lr=0.1)
    before = helper(tokens, table).item()
    for _ in range(30):
        optimiser.zero_grad()
        helper(tokens, table).backward()
        optimiser.step()
    assert helper(tokens, table).item() < 0.3 * before
