"""The ablations on the bundled miniature: every request is answered by a real model."""

import numpy as np

from litelvlm import load_model, load_refer
from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.studies import ablations
from litelvlm.analysis.studies.ablations.config import METHODS_BY_REQUEST


def test_every_request_has_rows_and_the_score_meets_attention(tmp_path):
    config = ablations.Config(
        images=2,
        expressions=1,
        budgets=(48,),
        random_seeds=1,
        official_seeds=2,
        pool=8,
        coalitions=4,
    )
    folder = complete_run(
        ablations.STUDY, load_model("embedded"), load_refer("embedded"), config, tmp_path
    )
    assert read_record(folder).counts.failed == 0
    rows = read_rows(folder)
    alone = rows[rows["part"] == "methods"]
    asked = {
        "none",
        "litelvlm",
        *(label for labels in METHODS_BY_REQUEST.values() for label in labels),
    }
    assert set(alone["method"]) == asked
    assert (alone.groupby("method").size() == 2).all()
    measured = alone[alone["method"] == "none"]
    assert measured["pearson"].between(-1, 1).all()
    assert (measured["sum_count"] == 144).all()
    assert alone[alone["method"] != "none"]["pearson"].isna().all()
    # The context score alone chooses other tokens.
    inter = alone.set_index(["method", "sent_id"])["inter_px"].unstack("method")
    assert (inter["litelvlm"] != inter["litelvlm(context_share=1)"]).any()
    summary = read_summary(folder)
    ids = {claim.id for claim in summary.claims}
    assert {"attention", "H7", "H7.points", "official.H7", "llm_attention", "kernel_shap"} <= ids
    assert {id.rpartition("H7")[0] for id in ids if "H7" in id} == {
        *("", "rule.", "official.", "official.rule.")  # of the method's readings alone
    }
    assert {claim.verdict for claim in summary.claims} == {"undetermined"}  # two images
    draws = summary.table("protocols").set_index(["protocol", "method", "budget"])
    assert np.isfinite(draws.loc[("official", "litelvlm", 48), "sd_draws"])
