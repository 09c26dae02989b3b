"""The parity command on set-ups that differ from the recorded ones.

Fewer files, other budgets, sizes and datasets.
"""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel

from litelvlm.metrics import ciou, intersection_union
from tests.parity import glamm, pruner, refer, scores

RECORDED = Path(__file__).parents[1] / "fixtures" / "parity"


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def fixtures(tmp_path):
    shutil.copytree(RECORDED, tmp_path / "parity")
    return tmp_path / "parity"


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_other_budgets_from_pictures_and_tables_alone(fixtures, out, caplog):
    def more_runs(index):
        (run,) = index["runs"]
        for item in run["items"]:
            for key in ("clip_texts", "original_size", "resized_size", "intersection", "union"):
                del item[key]
        index["runs"] = [
            {**run, "retain": r, "file": f"run_R{r}.safetensors"} for r in (18, 1, 36, 37, 0)
        ]

    edit(fixtures / "glamm" / "index.json", more_runs)
    (fixtures / "glamm" / "inputs.safetensors").unlink()
    (fixtures / "glamm" / "tokenisation.json").unlink()
    with caplog.at_level(logging.WARNING):
        glamm.compute(fixtures / "glamm", out)
    got, expected = (
        load_file(folder / "run_R18.safetensors") for folder in (out, RECORDED / "glamm")
    )
    assert torch.equal(got["1.retained_idx"], expected["1.retained_idx"])
    torch.testing.assert_close(got["1.pred_masks"], expected["1.pred_masks"], atol=5e-6, rtol=0)
    found = {score["retain"]: score for score in json.loads((out / "scores.json").read_text())}
    assert [*found] == [18, 1, 36]
    official = json.loads((RECORDED / "glamm" / "index.json").read_text())["runs"][0]
    assert found[18]["ciou"] == pytest.approx(official["ciou"], abs=1e-4)
    assert sorted(load_file(out / "run_R36.safetensors")["0.retained_idx"].tolist()) == list(
        range(36)
    )
    assert "budget 37" in caplog.text
    assert "budget 0" in caplog.text
    recorded = json.loads((RECORDED / "glamm" / "tokenisation.json").read_text())
    derived = json.loads((out / "tokenisation.json").read_text())
    assert {len(entry["turns"]) for entry in derived} <= {1, 2, 3}
    assert [*derived[0]] == [*recorded[0]]


def test_the_kernel_that_models_run_with_keeps_the_tolerances(fixtures, out, monkeypatch):
    # The official code was recorded with eager attention; unless asked for otherwise, models attend
    # by "sdpa".
    load = glamm.load_model
    monkeypatch.setattr(
        glamm, "load_model", lambda *names, **options: load(*names, **options | {"attn": "sdpa"})
    )
    glamm.compute(fixtures / "glamm", out)
    got, recorded = (
        load_file(folder / "run_R18.safetensors") for folder in (out, RECORDED / "glamm")
    )
    shared = [key for key in recorded if key in got]
    assert {key.split(".")[1] for key in shared} >= {"pred_masks", "seg_embeddings"}
    for key in shared:
        tolerance = {"pred_masks": 5e-6, "seg_embeddings": 3e-4, "projected_tokens": 1e-4}.get(
            key.split(".")[1], 0
        )
        torch.testing.assert_close(got[key], recorded[key], atol=tolerance, rtol=0)


def test_runs_over_other_pictures_take_their_own(fixtures, out):
    """With other pictures in the index, the tree's are meant: stored tensors have only numbers."""

    def another(index):
        (run,) = index["runs"]
        items = [{**item, "expressions": item["expressions"]} for item in run["items"][1:2]]
        for item in items:
            del item["original_size"], item["resized_size"]
        index["runs"].append({"dataset": "refcoco|val", "retain": 9, "items": items})
        index["runs"].append({"dataset": "refcoco|val", "retain": 9, "items": items})
        index["runs"].append({"dataset": "refcoco|val", "retain": 99, "raises": "RuntimeError"})

    edit(fixtures / "glamm" / "index.json", another)
    with pytest.raises(ExceptionGroup) as failed:
        glamm.compute(fixtures / "glamm", out)
    assert "two runs are to be written to run_R9.safetensors" in str(failed.value.exceptions[0])
    got, recorded = (
        load_file(out / "run_R9.safetensors"),
        load_file(RECORDED / "glamm" / "run_R18.safetensors"),
    )
    assert got["0.pred_masks"].shape == recorded["1.pred_masks"].shape
    assert torch.equal(got["0.input_ids"], recorded["1.input_ids"])
    assert len(got["0.retained_idx"]) == 9
    assert [score["retain"] for score in json.loads((out / "scores.json").read_text())] == [18, 9]


def test_recorded_errors_are_tried_and_a_bad_setup_spares_the_others(fixtures, out, caplog):
    def worse(index):
        (setup,) = index["setups"]
        setup["cases"] = setup["cases"][:2]
        index["setups"].insert(0, {**setup, "seed": 4})  # there are no weights of this seed
        index["setups"].append(
            {**setup, "seed": 0, "cases": [], "errors": [{"T": 2, "retain": 5, "raises": "X"}]}
        )

    edit(fixtures / "pruner" / "index.json", worse)
    with caplog.at_level(logging.WARNING), pytest.raises(ExceptionGroup) as failed:
        pruner.compute(fixtures / "pruner", out)
    missing, taken = failed.value.exceptions
    assert "the setup of seed 4" in missing.__notes__[0]
    assert "T2.R5 is a recorded error and gave 5 tokens" in str(taken)
    refused = [record.message for record in caplog.records]
    assert [message.split(" is refused")[0] for message in refused] == [
        f"pruner: seed 0, {case}" for case in ("T1.R37", "T3.R39", "T1.R0")
    ]


def test_sets_of_empty_targets_and_of_none(fixtures, out):
    # Nothing predicted for nothing: 1; one pixel for nothing: 0. An image without expressions has
    # no score to sum.
    logits = torch.tensor([[[-1.0, 0.0]], [[-1.0, 1.0]]])
    inputs = {"empty.0.logits": logits, "empty.0.target": torch.zeros(2, 1, 2, dtype=torch.uint8)}
    inputs |= {
        "none.0.logits": torch.zeros(0, 1, 2),
        "none.0.target": torch.zeros(0, 1, 2, dtype=torch.uint8),
    }
    save_file(inputs, fixtures / "scores" / "inputs.safetensors")
    scores.compute(fixtures / "scores", out)
    empty, none = json.loads((out / "got.json").read_text())
    assert empty["giou"] == pytest.approx(1 / 2.00001)
    assert (empty["ciou"], none["giou"], none["ciou"]) == (0, 0, 0)


def test_another_seed_and_size_without_recorded_ids(fixtures, out):
    def another(index):
        (setup,) = index["setups"]
        sizes = json.loads(json.dumps(setup["clip_config"]))
        sizes["vision_config"]["image_size"] = 70
        cases = [
            {**case, "texts": case["texts"]} for case in setup["cases"] if case["retain"] <= 25
        ]
        cases.append({"key": "T1.R26", "texts": cases[0]["texts"], "retain": 26})
        index["setups"].append({**setup, "seed": 5, "clip_config": sizes, "cases": cases})

    edit(fixtures / "pruner" / "index.json", another)
    config = json.loads((fixtures / "pruner" / "index.json").read_text())["setups"][1][
        "clip_config"
    ]
    torch.manual_seed(5)
    clip = CLIPModel(CLIPConfig(**config))
    save_file(clip.state_dict(), fixtures / "pruner" / "seed5_clip.safetensors")
    save_file(
        {"pixel_values": torch.randn(1, 3, 70, 70)}, fixtures / "pruner" / "seed5_cases.safetensors"
    )
    pruner.compute(fixtures / "pruner", out)
    got = load_file(out / "seed5_cases.safetensors")
    assert got["T1.R5.features"].shape == (1, 5, 32)
    assert got["T3.R19.retained_idx"].unique().numel() == 19
    assert "T1.R26.retained_idx" not in got
    # One text keeps its lowest in raster order, and a smaller budget a subset of a larger one.
    small, large = got["T1.R5.retained_idx"].tolist(), got["T1.R12.retained_idx"].tolist()
    assert small == sorted(small)
    assert set(small) <= set(large)
    # Recorded ids and the tokenizer's are the same.
    edit(fixtures / "pruner" / "index.json", lambda index: index["setups"].pop())
    cases = load_file(fixtures / "pruner" / "seed0_cases.safetensors")
    save_file(
        {"pixel_values": cases["pixel_values"]}, fixtures / "pruner" / "seed0_cases.safetensors"
    )
    pruner.compute(fixtures / "pruner", out)
    got = load_file(out / "seed0_cases.safetensors")
    assert all(torch.equal(got[key], cases[key]) for key in got if key.endswith("_idx"))


def test_grefcoco_targets_of_value_two_and_none(fixtures, out):
    base = fixtures / "refer" / "Refer_Segm"
    instances = json.loads((base / "refcoco" / "instances.json").read_text())
    image = instances["images"][0]
    overlapping = [[2, 2, 20, 2, 20, 20, 2, 20], [10, 10, 30, 10, 30, 30, 10, 30]]
    record = {
        "image_id": image["id"],
        "category_id": 1,
        "bbox": [0, 0, 1, 1],
        "area": 1,
        "iscrowd": 0,
    }
    instances["annotations"] = [
        {**record, "id": 1, "segmentation": overlapping},
        {**record, "id": 2, "segmentation": [[40, 40, 50, 40, 50, 50, 40, 50]]},
        {**record, "id": 3, "segmentation": []},
    ]
    targets = [[1, 2], [-1], [3], [1]]
    refs = [
        {
            "ref_id": i, "ann_id": ann_ids, "image_id": image["id"], "split": "val",
            "category_id": [1],
            "sentences": [{"sent_id": i, "sent": f"Thing {i}", "raw": "", "tokens": []}],
        }
        for i, ann_ids in enumerate(targets)
    ]  # fmt: skip
    (base / "grefcoco").mkdir()
    (base / "grefcoco" / "instances.json").write_text(json.dumps(instances))
    (base / "grefcoco" / "grefs(unc).json").write_text(json.dumps(refs))
    (fixtures / "refer" / "decoded_masks.json").unlink()
    (fixtures / "refer" / "decoded_masks.safetensors").unlink()
    refer.compute(fixtures / "refer", out)
    got = load_file(out / "decoded_masks.safetensors")
    masks = got["grefcoco.val.0"].numpy()
    assert masks.shape == (4, image["height"], image["width"])
    assert [int(mask.max()) for mask in masks] == [2, 0, 0, 2]
    assert masks[0, 45, 45] == 1
    recorded = load_file(RECORDED / "refer" / "decoded_masks.safetensors")
    assert all(torch.equal(got[key], recorded[key]) for key in recorded)
    # Predicting everything counts the doubled pixels as wrong.
    everything = np.ones(masks.shape[1:], dtype=bool)
    overlap = intersection_union(everything, masks[0])
    assert overlap.union == masks[0].size
    assert overlap.intersection == (masks[0] == 1).sum()
    assert ciou([overlap.intersection], [overlap.union]) < 1
