"""The importance and faithfulness studies on the miniature.

Every kind of row, and a model left as found.
"""

import numpy as np
import pytest
import torch

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.signals.gradients import inner_layers, input_signals, layer_signals
from litelvlm.analysis.studies import faithfulness, importance
from litelvlm.analysis.studies.importance.sanity import cascade, reinitialised
from litelvlm.figures.importance import SCORES
from litelvlm.models.glamm.attribution.layers import reverse_sweep
from litelvlm.models.glamm.attribution.targets import TARGETS, Targets, target_gradient
from tests.glamm_parts import conversation

TALK = conversation(["the red circle"])
SMALL = {"coalitions": 4, "integration_steps": 2, "mean_images": 1}


@pytest.fixture(scope="module")
def run(model, data, tmp_path_factory):
    config = importance.Config(images=2, checked=1, sampled=1, **SMALL)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folder = complete_run(importance.STUDY, model, data, config, tmp_path_factory.mktemp("runs"))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    return folder


def test_every_signal_score_measure_and_control_has_rows(run):
    rows = read_rows(run)
    assert read_record(run).state == "done"
    assert rows["image_id"].nunique() == 2
    assert np.isfinite(rows["value"]).all()
    assert set(rows["metric"]) == {"spearman", "pearson", "rbo", "top_k_iou", "joint"}
    assert set(rows["control"]) == {"none", "shuffled_signal", "reinitialised"}
    plain = rows[rows["control"] == "none"]
    assert plain["score"].nunique() == 10
    assert set(plain["score"]) < set(SCORES)
    names = set(plain["signal"])
    assert {
        "attention",
        "attention_prompt",
        "rollout",
        "norm_rollout",
        "relevance",
    } < names
    assert {
        "saliency",
        "input_x_gradient",
        "layer_gradient_x_activation",
        "integrated_gradients",
    } < names
    assert {"leave_one_out", "kernel_shap"} < names
    removals = set(plain.loc[plain["signal"] == "leave_one_out", "removal"])
    assert removals == {"drop", "mean", "mask"}
    assert set(plain.loc[plain["signal"] == "saliency", "target"]) == set(TARGETS)
    heads = plain[plain["head"] >= 0].groupby("signal")
    assert set(heads.groups) == {"attention", "attention_norm", "gradient_attention"}
    assert {len(part.groupby(["layer", "head"])) for _, part in heads} == {16}
    spearman = plain[plain["metric"] == "spearman"]
    assert spearman["p_shift"].between(1 / 144, 1).all()
    assert spearman["ceiling"].dropna().between(0, 1).all()
    errors = plain.loc[plain["signal"] == "integrated_gradients", "compl_err"]
    assert (errors > 0).all()


def test_two_images_decide_nothing(run):
    summary = read_summary(run)
    assert {claim.verdict for claim in summary.claims} == {"undetermined"}
    tables = "grid layers agreement joint reinitialised overlap categories"
    assert set(summary.tables) == set(tables.split())


def test_importance_of_one_image_has_no_interval(model, data, tmp_path):
    folder = complete_run(
        importance.STUDY,
        model,
        data,
        importance.Config(images=1, checked=1, sampled=0, mean_images=1),
        tmp_path,
    )
    assert read_record(folder).state == "done"
    assert set(read_rows(folder)["control"]) == {"none", "shuffled_signal", "reinitialised"}
    claims = read_summary(folder).claims
    assert {claim.method for claim in claims} == {"undefined: one image"}
    assert {claim.verdict for claim in claims} == {"undetermined"}


def test_faithfulness_of_one_image(model, data, tmp_path):
    config = faithfulness.Config(images=1, steps=2, removals=4, coalitions=4)
    folder = complete_run(faithfulness.STUDY, model, data, config, tmp_path)
    rows = read_rows(folder)
    whole = rows[(rows["metric"] == "insertion") & (rows["k"] == 144)]
    # With all tokens their order does not matter.
    assert whole.groupby("target")["value"].agg(np.ptp).max() < 1e-4
    assert rows["ranking"].nunique() == 13
    assert {claim.verdict for claim in read_summary(folder).claims} == {"undetermined"}
    dice = rows[rows["target"] == "soft_dice"]
    sufficiency = dice[(dice["metric"] == "sufficiency") & (dice["k"] == 8)].set_index("ranking")[
        "value"
    ]
    only = dice[(dice["metric"] == "insertion") & (dice["k"] == 8)].set_index("ranking")["value"]
    np.testing.assert_allclose(
        sufficiency, whole[whole["target"] == "soft_dice"]["value"].iloc[0] - only, atol=1e-4
    )


@pytest.mark.parametrize("column", range(3))
def test_own_gradient_x_activation_equals_captums(model, state, column):
    targets = Targets(model, state, TALK)
    ours = (target_gradient(model, state, TALK, TARGETS[column]) * targets.visual).sum(1)
    captum = input_signals(targets, column)["input_x_gradient"]
    np.testing.assert_allclose(
        captum, ours.double().numpy(), rtol=1e-4, atol=1e-5 * np.abs(captum).max()
    )


def test_inner_gradients_equal_those_of_the_layer_by_layer_sweep(model, state):
    targets = Targets(model, state, TALK)
    image = slice(targets.start, targets.start + 144)
    captum = layer_signals(targets, 1, inner_layers(4))
    # Two attention kernels differ in float32, and the last layers' gradients are nearly 0.
    scale = 1e-5 * max(np.abs(values).max() for values in captum.values())
    for maps in reverse_sweep(targets, 1):
        # What leaves layer l enters layer l + 1.
        if maps.layer:
            ours = (maps.states * maps.gradient)[image].sum(1).double().numpy()
            np.testing.assert_allclose(captum[maps.layer - 1], ours, rtol=1e-4, atol=scale)


def test_reinitialised_layers_are_put_back_after_errors(model):
    before = {name: tensor.clone() for name, tensor in model.llama.state_dict().items()}
    layers = list(model.llama.model.layers)

    def interrupted():
        with reinitialised(layers, 2, model.llama.config.initializer_range):
            changed = [
                name
                for name, tensor in model.llama.state_dict().items()
                if not torch.equal(before[name], tensor)
            ]
            assert {name.split(".")[2] for name in changed} == {"2", "3"}
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert all(
        torch.equal(before[name], tensor) for name, tensor in model.llama.state_dict().items()
    )
    assert cascade(4) == (3, 2, 1, 0)
