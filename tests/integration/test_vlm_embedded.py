"""The bundled miniature LLaVA in studies: a trained model that answers in words."""

import pytest
import torch

from litelvlm import load_model, load_refer, load_vlm
from litelvlm.analysis.api import complete_run, read_record, read_rows
from litelvlm.analysis.studies import importance


@pytest.fixture(scope="module")
def llava():
    return load_vlm("embedded", device="cpu")


def test_it_sees_with_the_clip_of_the_miniature_glamm(llava):
    glamm = load_model("embedded", device="cpu")
    picture = load_refer("embedded", split="val")[0].image()
    pixels = glamm.tower.pixel_values(picture)
    ours, theirs = (one.tower.image(pixels).patch_tokens for one in (llava, glamm))
    torch.testing.assert_close(ours, theirs)
    assert llava.n_tokens == glamm.n_tokens == 144


def test_importance_asks_it(llava, tmp_path):
    config = importance.Config(images=2, checked=0, sampled=0)
    folder = complete_run(
        importance.STUDY, llava, load_refer("embedded", split="val"), config, tmp_path
    )
    assert read_record(folder).counts.failed == 0
    rows = read_rows(folder)
    overlap = rows[(rows["metric"] == "top_k_iou") & (rows["score"] == "low_similarity")]
    assert overlap["image_id"].nunique() == 2
    assert overlap["value"].between(0, 1).all()


def test_an_unknown_name_offers_it(tmp_path):
    with pytest.raises(ValueError, match="embedded"):
        load_vlm("vlm:embeded")
