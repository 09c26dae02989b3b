"""Every study gives the same rows where another process computes single parts.

The other process has a model of its own.
"""

import pandas as pd
import pytest

from litelvlm import load_clips, load_model, load_refer
from litelvlm.analysis.runs.engine import in_process, prepare
from litelvlm.analysis.studies import BUNDLED, STUDIES
from litelvlm.analysis.studies.table import get_study
from tests.small_studies import SMALL


@pytest.fixture(scope="module")
def other():
    """Model and data as another process would load them."""
    return load_model("embedded"), load_refer("embedded", split="val")


@pytest.mark.parametrize("name", STUDIES)
def test_an_image_computed_elsewhere_has_the_same_rows(
    model, data, other, name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # fine-tuned models go into a folder there
    study, pairs = get_study(name), ((model, data), other)
    if name in BUNDLED:
        of_model, of_data = BUNDLED[name]
        pairs = [(load_model(of_model), load_clips(of_data, split="val")) for _ in range(2)]
    config = study.Config(**SMALL[name], chunk_size=1)
    here, there = (prepare(study, *held, config) for held in pairs)
    assert there.key == here.key
    alone, elsewhere = (next(in_process([0], job))[1] for job in (here, there))
    assert alone.rows
    assert not alone.failures
    pd.testing.assert_frame_equal(
        pd.DataFrame(elsewhere.rows), pd.DataFrame(alone.rows), check_exact=True
    )
    assert elsewhere.notes == alone.notes
