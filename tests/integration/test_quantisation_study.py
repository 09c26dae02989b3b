"""The quantisation study on the bundled pictogram miniature, with the real packed weights."""

import pandas as pd
import pytest
import torch

from litelvlm import load_model, load_refer
from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.cli import main
from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.studies import quantisation, sweep
from litelvlm.analysis.studies.quantisation.memory import component_bytes
from litelvlm.models.glamm import quantise
from litelvlm.models.glamm.quantise import weight_bytes, with_quantised_language_model

WORLD = "embedded-pictograms"
CONFIG = quantisation.Config(
    methods=("litelvlm", "random", "llm_attention", "fastv"),
    budgets=(60, 16),
    seeds=2,
    images=2,
    expressions=1,
)


@pytest.fixture(scope="module")
def model():
    return load_model(WORLD)


@pytest.fixture(scope="module")
def data():
    return load_refer(WORLD, split="val")


@pytest.fixture(scope="module")
def run(tmp_path_factory, model, data):
    before = {name: value.clone() for name, value in model.llama.state_dict().items()}
    folder = complete_run(
        quantisation.STUDY, model, data, CONFIG, tmp_path_factory.mktemp("quantisation")
    )
    after = model.llama.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    return folder


def test_every_precision_is_measured_and_all_bits_give_the_rows_of_a_sweep(
    run, model, data, tmp_path
):
    assert read_record(run).counts.failed == 0
    rows = read_rows(run)
    assert list(rows["precision"].unique()) == ["none", "int8", "nf4"]
    # One unpruned pass, two budgets of three methods, one of which draws twice; FastV cannot
    # keep to 16 tokens, which the record says.
    assert (rows.groupby(["precision", "sent_id"]).size() == 1 + 2 + 4 + 2 + 1).all()
    assert {(e.method, e.budget) for e in read_record(run).excluded} == {("fastv", 16)}
    config = sweep.Config(methods=CONFIG.methods, budgets=(60, 16), seeds=2)
    same_images = EvenSubset(data, CONFIG.images, CONFIG.expressions)
    swept = read_rows(complete_run(sweep.STUDY, model, same_images, config, tmp_path))
    keys = ["sent_id", "method", "budget", "seed"]
    same = swept.sort_values(keys, ignore_index=True)
    full = rows[rows["precision"] == "none"].sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(full[same.columns], same)
    few = rows[rows["precision"] == "nf4"].sort_values(keys, ignore_index=True)
    assert (few["pred_px"] != full["pred_px"]).any()


def test_clip_chooses_the_same_tokens_and_the_language_model_may_not(run):
    rows = read_rows(run)
    pruned = rows[(rows["precision"] != "none") & (rows["method"] != "none")]
    alone = pruned[pruned["method"].isin(["litelvlm", "random"])]
    assert (alone["jaccard"] == 1.0).all()
    assert not alone["reads_llm"].any()
    reading = pruned[pruned["method"].isin(["llm_attention", "fastv"])]
    assert reading["reads_llm"].all()
    assert reading["jaccard"].between(0, 1).all()
    assert (reading["jaccard"] < 1).any()


def test_the_summary_judges_and_counts_bytes(run, model):
    summary = read_summary(run)
    ids = {claim.id for claim in summary.claims}
    assert {"interaction.int8", "interaction.nf4@16", "loss.nf4", "blank.int8", "kept.nf4",
            "kept.control", "memory.pruning"} <= ids  # fmt: skip
    counted = {"memory.pruning", "kept.control"}
    judged = [claim for claim in summary.claims if claim.id not in counted]
    assert {claim.verdict for claim in judged} == {"undetermined"}  # two images
    memory = summary.table("memory").set_index(["precision", "budget", "component"])["bytes"]
    # Keys and values of 192 numbers of 4 bytes each, in each layer.
    kv = 2 * model.n_layers * 192 * 4 * 144
    assert memory["none", 144, "visual_kv"] == kv
    assert memory["nf4", 16, "visual_kv"] == kv * 16 // 144
    for part in ("clip", "sam", "projector", "seg_head", "language_head"):
        assert memory["none", 144, part] == memory["nf4", 144, part]
    sizes = [memory[way, 144, "language_model"] for way in ("none", "int8", "nf4")]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(("way", "bits"), [("int8", 8), ("nf4", 4), ("nf4_double", 4)])
def test_packed_layers_take_their_bits_and_their_scales(model, way, bits):
    other = with_quantised_language_model(model, way)
    name = "layers.0.mlp.up_proj"
    whole = model.llama.model.get_submodule(name).weight
    packed = weight_bytes(other.llama.model.get_submodule(name))
    blocks = -(-whole.numel() // 64)
    # NF4: a scale per block of 64 and a table of 16 levels; int8: a scale per row.
    scales = {"int8": 4 * whole.shape[0], "nf4": 4 * blocks + 4 * 16}.get(way)
    assert packed > whole.numel() * bits // 8
    if scales is not None:
        assert packed == whole.numel() * bits // 8 + scales
    else:
        assert (
            packed
            < weight_bytes(
                with_quantised_language_model(model, "nf4").llama.model.get_submodule(name)
            )
            + 4 * 256
            + 8
        )


def test_a_quantised_model_shares_every_other_weight_and_says_so_in_its_name(model):
    other = with_quantised_language_model(model.with_options(read="seg"), "nf4")
    assert other.name == f"{WORLD} (nf4)[read=seg]"
    assert model.name == WORLD
    own = {p.data_ptr() for p in model.parameters()}
    kept = [p for p in other.parameters() if p.is_floating_point()]
    packed = [p for p in other.parameters() if not p.is_floating_point()]
    assert packed
    assert all(p.data_ptr() in own for p in kept)
    assert not any(p.data_ptr() in own for p in packed)
    assert component_bytes(other)["clip"] == component_bytes(model)["clip"]
    # The same as a model that was loaded with fewer bits.
    loaded = load_model(WORLD, quantise="nf4")
    for (name, one), (_, two) in zip(
        loaded.llama.named_parameters(), other.llama.named_parameters(), strict=True
    ):
        assert torch.equal(one, two), name


def test_a_model_with_fewer_bits_is_refused(data, tmp_path):
    few = load_model(WORLD, quantise="int8")
    with pytest.raises(ValueError, match=r"has fewer bits already.*leave out quantise"):
        complete_run(quantisation.STUDY, few, data, CONFIG, tmp_path)
    with pytest.raises(ValueError, match="is quantised already"):
        with_quantised_language_model(few, "nf4")


def test_without_the_backend_the_command_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(quantise, "find_spec", lambda name: None)
    words = ["study", "quantisation", "--model", WORLD, "--data", WORLD, "--out", str(tmp_path)]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "quantise='int8' needs the package bitsandbytes, which is not installed" in error
    assert "pip install 'bitsandbytes>=0.50'" in error
    assert not list(tmp_path.iterdir())
