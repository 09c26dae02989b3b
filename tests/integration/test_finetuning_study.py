"""The fine-tuning study on the bundled miniature: trained once, then read."""

import shutil

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from litelvlm import load_model, load_refer
from litelvlm.analysis.api import complete_run, read_record, read_rows
from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.studies import finetuning, sweep
from litelvlm.analysis.studies.finetuning import trainings
from litelvlm.analysis.studies.finetuning.prepare import check_apart
from litelvlm.models.files import EMBEDDED
from litelvlm.models.glamm.options import GlammOptions
from litelvlm.training.finetune import train
from tests.small_studies import SMALL


@pytest.fixture(scope="module")
def model():
    return load_model("embedded", device="cpu")


@pytest.fixture(scope="module")
def data():
    return load_refer("embedded", split="val")


def test_every_model_is_trained_once_and_evaluated_as_a_sweep(model, data, tmp_path, monkeypatch):
    given = SMALL["finetuning"] | {"trainings": tmp_path / "tuned", "trained_seeds": 1}
    config = finetuning.Config(**given)
    run = complete_run(finetuning.STUDY, model, data, config, tmp_path / "runs")
    assert read_record(run).counts.failed == 0
    rows = read_rows(run)
    assert list(rows["tuned_with"].unique()) == ["untuned", "none", "litelvlm", "uniform"]
    assert (rows.groupby(["tuned_with", "sent_id"]).size() == 1 + 2 * 2).all()
    swept = sweep.Config(methods=config.methods, budgets=config.budgets, seeds=config.draws)
    same = EvenSubset(data, config.images, config.expressions)
    plain = read_rows(complete_run(sweep.STUDY, model, same, swept, tmp_path))
    keys = ["sent_id", "method", "budget"]
    before = rows[rows["tuned_with"] == "untuned"].sort_values(keys, ignore_index=True)
    plain = plain.sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(before[plain.columns], plain)

    def refuse(*_, **__):
        raise AssertionError("a finished training was trained again")

    monkeypatch.setattr(train, "run_stage", refuse)
    changed = config.model_copy(update={"images": 1})
    assert read_record(
        complete_run(finetuning.STUDY, model, data, changed, tmp_path / "runs")
    ).complete
    other = config.model_copy(update={"lr": 1e-3})
    with pytest.raises(ValueError, match="another recipe"):
        complete_run(finetuning.STUDY, model, data, other, tmp_path / "runs")


def test_tuned_models_have_the_options_and_the_clip_of_the_model_before(tmp_path, monkeypatch):
    clip = shutil.copytree(EMBEDDED["embedded"] / "clip", tmp_path / "clip")
    tensors = load_file(clip / "model.safetensors")
    tensors["visual_projection.weight"] *= 2
    save_file(tensors, clip / "model.safetensors", metadata={"format": "pt"})
    options = GlammOptions(read="seg", mask_decoder_eps=1e-5)
    model = load_model("embedded", device="cpu", attn="eager", options=options, clip=clip)
    monkeypatch.setattr(trainings, "fine_tune", lambda *_, **__: EMBEDDED["embedded-pictograms"])
    config = finetuning.Config(**SMALL["finetuning"] | {"trained_seeds": 1})
    found = [*trainings.tuned_models(model, None, config)]
    assert [one.tuned_with for one in found] == ["untuned", "none", "litelvlm", "uniform"]
    for one in found[1:]:
        assert one.model.options == options
        assert one.model.attention_kernels == model.attention_kernels
        for mine, theirs in zip(
            one.model.tower.parameters(), model.tower.parameters(), strict=True
        ):
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"train_split": "val"}, r"160 of 160 images of embedded val are trained on \(emb"),
        ({"other_budgets": (145,)}, "145"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_the_first_training(
    given, told, model, data, tmp_path
):
    given = SMALL["finetuning"] | {"trainings": tmp_path / "tuned"} | given
    with pytest.raises(ValueError, match=told):
        complete_run(finetuning.STUDY, model, data, finetuning.Config(**given), tmp_path / "runs")
    assert not (tmp_path / "tuned").exists()


def test_a_part_of_the_images_that_were_trained_on_is_known(model, data):
    learned = load_refer("embedded", split="train")
    with pytest.raises(ValueError, match=r"1 of 1 images of embedded train .*\(--split\)"):
        check_apart(learned, EvenSubset(learned, 1))
    check_apart(learned, data)


def test_one_image_leaves_claims_open(model, data, tmp_path):
    config = finetuning.Config(
        **SMALL["finetuning"] | {"trainings": tmp_path / "tuned", "limit": 1}
    )
    run = complete_run(finetuning.STUDY, model, data, config, tmp_path / "runs")
    claims = finetuning.make_claims(read_rows(run), config)
    assert {claim.verdict for claim in claims} == {"undetermined"}
