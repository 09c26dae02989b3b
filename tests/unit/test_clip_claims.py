"""Clips are judged by J&F, wherever images are judged by cIoU."""

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.cli.method_lines import method_text
from litelvlm.analysis.pages.report.tables import (
    beside,
    published_statements,
    published_tables,
)
from litelvlm.analysis.runs.outcome import Counts
from litelvlm.analysis.runs.record import Summary, Table
from litelvlm.analysis.studies import ablations, stories, sweep
from litelvlm.analysis.studies.published_video import VIDEO
from litelvlm.analysis.studies.scores import main_score

CONFIG = sweep.Config()
CELLS = (("none", 100), ("litelvlm", 20), ("random", 20))


def rows_of(ciou, jf, clips=30, expressions=2, noise=0.02):
    """Rows whose pixels say one thing, and whose frames say another.

    Args:
        ciou: Share of pixels found, by method.
        jf: The same of frames; None for rows of images.
    """
    rng, rows = np.random.default_rng(0), []
    for clip in range(clips):
        for sent in range(expressions):
            for method, budget in CELLS:
                share = ciou[method] + noise * rng.standard_normal()
                row = {"image_id": clip, "sent_id": clip * expressions + sent, "method": method}
                row |= {"budget": budget, "seed": 0, "kind": "unspecified", "n_words": 3}
                row |= {"inter_px": round(1000 * share), "union_px": 1000, "iou": share}
                row |= {"p50": True, "seg_found": True, "area_frac": 0.2, "n_kept": budget + 4}
                if jf is not None:
                    value = jf[method] + noise * rng.standard_normal()
                    row |= dict.fromkeys(("j", "f", "jf"), value)
                rows.append(row)
    return pd.DataFrame(rows)


LEVEL = {"none": 0.9, "litelvlm": 0.6, "random": 0.6}
AHEAD = {"none": 0.9, "litelvlm": 0.88, "random": 0.5}


@pytest.mark.parametrize(
    ("ciou", "jf", "label", "lead", "kept"),
    [
        (LEVEL, AHEAD, "J&F", "supported", "supported"),
        (AHEAD, LEVEL, "J&F", "undetermined", "not supported"),
        (AHEAD, None, "cIoU", "supported", "supported"),
        (LEVEL, None, "cIoU", "undetermined", "not supported"),
    ],
)
def test_claims_tables_and_sentences_follow_the_score_of_the_data(ciou, jf, label, lead, kept):
    rows = rows_of(ciou, jf)
    claims, tables = sweep.make_claims(rows, CONFIG), sweep.make_tables(rows, CONFIG)
    by_id = {claim.id: claim for claim in claims}
    assert {"random@20": lead, "H8": kept} == {id: one.verdict for id, one in by_id.items()}
    truth = jf or ciou
    assert by_id["random@20"].estimate == pytest.approx(
        truth["litelvlm"] - truth["random"], abs=0.02
    )
    assert by_id["H8"].estimate == pytest.approx(truth["litelvlm"] / truth["none"], abs=0.02)
    assert all(claim.n_images == 30 for claim in claims)  # of clips, not of expressions
    assert all(f" {label}" in claim.statement for claim in claims)
    assert f"of the unpruned {label} is {kept}" in sweep.interpret(claims, tables)
    assert main_score(tables["scores"]["metric"]).label == label
    assert set(tables["seeds"].columns) >= {main_score(tables["scores"]["metric"]).name}
    told = stories.told("sweep", claims)
    assert (f"difference in {label} " in told) is (lead != "undetermined")
    table = {name: Table.from_frame(frame) for name, frame in tables.items()}
    run = Summary(
        study="sweep", key="k", partial=False, counts=Counts(), claims=tuple(claims),
        interpretation="", tables=table,
    )  # fmt: skip
    assert f"{label} minus that of random tokens" in method_text(run)
    assert [one.title for one in beside(run)] == [
        f"{label} [95 % interval]",
        f"Share of the unpruned {label} that is kept (one-sided 95 % bound)",
    ]


@pytest.mark.parametrize(
    ("ciou", "jf", "label", "verdict"),
    [
        (LEVEL, AHEAD, "J&F", "supported"),
        (AHEAD, LEVEL, "J&F", "not supported"),
        (AHEAD, None, "cIoU", "supported"),
    ],
)
def test_ablations_follow_the_score_of_the_data(ciou, jf, label, verdict):
    rows = rows_of(ciou, jf)
    rivals = [rows[rows["method"] == "random"].assign(method=name) for name in ("uniform", "trim")]
    rows = pd.concat([rows, *rivals]).assign(
        part="methods", protocol="single", ri=rows["sent_id"] / 60
    )
    config = ablations.Config(margin=0.05)
    claims = {claim.id: claim for claim in ablations.make_claims(rows, config)}
    lead = (jf or ciou)["litelvlm"] - (jf or ciou)["random"]
    assert {claims[id].verdict for id in ("even", "H7", "H7@20", "H7.points")} == {verdict}
    assert claims["even"].estimate == pytest.approx(lead, abs=0.02)
    assert claims["H7.points@20"].estimate == pytest.approx(lead, abs=0.02)
    assert claims["even"].null_description == f"{label} of evenly spread tokens"
    assert all(f" {label}" in claim.statement for claim in claims.values())
    tables = ablations.make_tables(rows, config)
    assert tables["gain"]["delta"].mean() == pytest.approx(lead, abs=0.02)
    kept = tables["retention"].set_index("method")["kept"]
    assert kept["litelvlm"] == pytest.approx((jf or ciou)["litelvlm"] / 0.9, abs=0.02)


def test_tables_say_what_the_language_model_reads():
    scores = sweep.make_tables(rows_of(LEVEL, AHEAD), CONFIG)["scores"]
    assert (scores["n_kept"] == scores["budget"] + 4).all()


IMAGE_HEADS, COST_HEADS, CLIP_HEADS = "192 tokens", "quantity", "J&F"


@pytest.mark.parametrize(
    ("units", "heads", "words"),
    [
        ({"images"}, [IMAGE_HEADS, COST_HEADS], ["CUDA time"]),
        ({"clips"}, [CLIP_HEADS], ["J&F"]),
        ({"images", "clips"}, [IMAGE_HEADS, COST_HEADS, CLIP_HEADS], ["CUDA time", "J&F"]),
    ],
)
def test_a_page_shows_the_published_numbers_of_what_its_runs_read(units, heads, words):
    found = published_tables(units)
    assert len(found) == len(heads)
    for table, head in zip(found, heads, strict=True):
        assert head in table.grid.heads
        assert ("other clips" in table.caution) == (head == CLIP_HEADS)
    told = " ".join(published_statements(units))
    assert [word for word in ("CUDA time", "J&F") if word in told] == words


def test_the_published_share_of_clips_follows_from_the_published_scores():
    scores = {(data, method, tokens): found.jf for (data, method, tokens), found in VIDEO.items()}
    sets = ("ref-davis17", "ref-youtube-vos")
    for tokens, claimed in ((196, 99.5), (81, 95.0)):
        shares = [scores[data, "LiteLVLM", tokens] / scores[data, "unpruned", 576] for data in sets]
        assert 100 * min(shares) == pytest.approx(claimed, abs=0.2)
