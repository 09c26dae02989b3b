"""Plain sentences: what was found, why a verdict is open, what is missing, how long it takes."""

import re
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from litelvlm.analysis.api import Bootstrap, Estimate, read_record, read_summary
from litelvlm.analysis.cli.actions.study import progress
from litelvlm.analysis.cli.text import claim_text, ending, ending_text
from litelvlm.analysis.pages.findings import finding, missing_lines
from litelvlm.analysis.runs.claims import make_claim, null_claim
from litelvlm.analysis.runs.formatting import number
from litelvlm.analysis.runs.messages.events import Event
from litelvlm.analysis.runs.messages.reasons import reasons_sentence, undetermined_reason
from litelvlm.analysis.runs.outcome import Counts, Exclusion
from litelvlm.analysis.runs.record import Summary
from litelvlm.analysis.stats.crossed import Crossed
from litelvlm.analysis.studies.importance.claims import SIGNALS_IN_WORDS
from litelvlm.analysis.studies.stories import shown


def claim(id="H1", low=0.1, high=0.3, n_images=30, null=0.0, **more):
    middle = Estimate((low + high) / 2, low, high, n_images, 90, more.pop("method", "m"))
    return make_claim(id, f"{id} holds.", middle, null, "nothing", **more)


def summary(study, *claims):
    return Summary(
        study=study,
        key="0" * 64,
        partial=False,
        counts=Counts(),
        claims=claims,
        interpretation="Words of the study.",
        tables={},
    )


def test_a_sweep_names_the_budgets_that_are_open():
    null = {"null_description": "cIoU of random tokens, mean over seeds"}
    claims = [claim("random@48", low=-0.1), claim("random@8")]
    told = finding(summary("sweep", *(one.model_copy(update=null) for one in claims)))
    assert "beats random tokens at 8 and is open at 48: difference in cIoU" in told


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (claim(), ""),
        (claim(low=-0.3, high=-0.1), ""),
        # The interval lies wholly below the null, and only the number of images is to blame.
        (
            claim(low=-0.419, high=-0.149, n_images=12),
            "12 images are fewer than the 20 that an interval needs",
        ),
        (claim(n_images=1), "1 image is fewer than the 20 that an interval needs"),
        (claim(low=-0.1), "the interval contains 0, the value without an effect"),
        (claim(low=0.8, high=1.2, null=0.9), "the interval contains 0.9, the value without an"),
        (
            claim(low=-0.1, margin=0.05, p_equivalent=0.6),
            "the interval [-0.1, 0.3] shows neither an effect nor that it is smaller than 0.05",
        ),
        (
            claim(low=np.nan, high=np.nan, method="undefined: a rival's cIoU is 0"),
            "there is no interval (undefined: a rival's cIoU is 0)",
        ),
        (
            claim(n_images=3).model_copy(update={"unit": "trainings"}),
            "3 trainings are too few",
        ),
    ],
)
def test_every_undetermined_verdict_has_a_reason(made, reason):
    assert (made.verdict == "undetermined") == bool(reason)
    assert undetermined_reason(made).startswith(reason)
    assert bool(undetermined_reason(made)) == bool(reason)
    if reason:
        assert f"UNDETERMINED ({undetermined_reason(made)}): H1 holds." in claim_text(made)


WIDE = Crossed(0.2, 0.2, 5.0, 30, 6, 90)
"""Clears 0 over images; over images and categories its interval is [-0.31, 0.71]."""


def test_the_interval_in_words_is_the_widest_that_applies():
    seen = claim(crossed=WIDE)
    assert (seen.verdict, seen.seen_only) == ("undetermined", True)
    reason = undetermined_reason(seen)
    assert reason.startswith("settled for the categories seen here, open for others: ")
    assert "over images and categories [-0.314, 0.714] contains 0" in reason
    assert "[-0.314, 0.714]" in finding(summary("reversal", seen))
    # With a margin the wider interval is told too, not the one over images.
    both = claim(low=-0.1, margin=0.05, p_equivalent=0.6, crossed=replace(WIDE, value=0.1))
    assert not both.seen_only
    assert "the interval [-0.414, 0.614] shows neither" in undetermined_reason(both)


def test_a_seen_effect_on_the_other_side_is_no_support():
    seen = claim(low=-0.3, high=-0.1, crossed=replace(WIDE, value=-0.2))
    assert (seen.verdict, seen.seen_only) == ("undetermined", True)
    assert undetermined_reason(seen).startswith("settled for the categories seen here")


def test_a_null_that_is_not_shown_says_so():
    draws = 0.045 + 0.01 * np.linspace(-2, 2, 401)[:, None]
    open_ = null_claim("N", "N.", Bootstrap(np.array([0.045]), draws, 40, 40), 0.0, "none", 0.05)
    assert open_.verdict == "undetermined"
    assert "nor that it is smaller than 0.05" in undetermined_reason(open_)


def test_reasons_are_grouped_and_many_claims_are_counted():
    few = [claim(f"C{i}", n_images=5) for i in range(7)]
    told = reasons_sentence([claim(), *few, claim("H2", low=-0.1)])
    assert told == (
        "Undetermined: 7 claims (5 images are fewer than the 20 that an interval needs); "
        "H2 (the interval contains 0, the value without an effect)."
    )
    assert reasons_sentence([claim()]) == ""


def test_each_saved_run_is_told_in_one_sentence_with_one_number(saved_runs):
    for folder in saved_runs.values():
        told = finding(read_summary(folder))
        assert told.endswith(".")
        assert len(re.findall(r"\[-?[\d.]+, -?[\d.]+\]", told)) == 1, told


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"H1.sign": (0.1, 0.3), "H1": (0.1, 0.2), "H2": (0.1, 0.2)}, "other images do so less"),
        ({"H1.sign": (0.1, 0.3), "H1": (-0.1, 0.2), "H2": (-0.2, -0.1)}, "other texts do the same"),
        ({"H1.sign": (-0.3, -0.1), "H1": (-0.3, -0.1)}, "is not reversed"),
        ({"H1.sign": (-0.1, 0.3), "H1": (-0.1, 0.3)}, "is open"),
    ],
)
def test_a_reversal_in_words(parts, words):
    claims = [claim(id, *ends) for id, ends in parts.items()]
    assert words in finding(summary("reversal", *claims))


def test_importance_names_the_weaker_signal_with_its_interval_and_the_other(saved_runs):
    by_id = {claim.id: claim for claim in read_summary(saved_runs["importance"]).claims}
    decides = by_id["H6"].null_description.partition(" decides")[0]
    other = by_id[{"H6.removal": "H6.attention"}.get(decides, "H6.removal")]
    told = finding(read_summary(saved_runs["importance"]))
    assert f"beyond chance {shown(by_id[decides])} with the first by " in told
    assert f"{number(other.estimate)} by {SIGNALS_IN_WORDS[other.id]}" in told
    assert told.count("tokens of the true mask") == 2


def test_a_study_without_a_sentence_is_told_by_its_first_claim():
    assert finding(summary("mine", claim())) == "Shown: H1 holds: 0.2 [0.1, 0.3]."
    assert finding(summary("mine", claim(n_images=2))).startswith("Open: H1 holds: 0.2 [0.1, 0.3];")
    lift = claim().model_copy(update={"statement": "The [EOS] attends (mean over heads)."})
    assert finding(summary("mine", lift)).startswith(
        "Shown: the [EOS] attends (mean over heads): 0"
    )
    assert finding(summary("mine")) == "Words of the study."
    assert finding(summary("reversal", claim("N4"))) == "Shown: N4 holds: 0.2 [0.1, 0.3]."


def test_the_ending_is_short_and_names_what_is_missing(saved_runs, tmp_path):
    folders = [saved_runs["reversal"], saved_runs["sink"]]
    told = ending_text(folders, tmp_path / "index.html").splitlines()
    assert len(told) == 6
    assert told[0].startswith("Found on ")
    assert re.search(r"^  reversal  .* \(\d+ samples from \d+ images\)$", told[1])
    assert told[3].startswith("Missing: H5, H6, H7, H8 of the eight hypotheses were not tested")
    assert told[4] == f"Report: {tmp_path / 'index.html'}"
    assert told[5] == f"Details: litelvlm show -v {folders[0]} {folders[1]}"
    assert not any("p =" in line or "null" in line for line in told)


def test_the_ending_names_methods_that_were_left_out(saved_runs, tmp_path):
    run = shutil.copytree(saved_runs["sweep"], tmp_path / "sweep")

    def missing(count):
        left_out = [Exclusion(method="fastv", budget=k, reason="too few") for k in range(count)]
        record = read_record(run).model_copy(update={"excluded": tuple(left_out)})
        (run / "run.json").write_text(record.model_dump_json())
        (line,) = (one for one in ending_text([run]).splitlines() if one.startswith("Missing: "))
        return line

    assert missing(0) == "Missing: nothing."
    assert "sweep left out: fastv@0, fastv@1: too few." in missing(2)
    assert "sweep left out at 9 budgets: fastv; `litelvlm show -v`" in missing(9)
    assert "sweep left out at 9 budgets: fastv" in ending([run])["missing"][0]


def test_the_ending_says_which_run_each_line_is_about(saved_runs, tmp_path):
    other = shutil.copytree(saved_runs["sink"], tmp_path / "other")
    record = read_record(other)
    record = record.model_copy(update={"data": record.data | {"split": "testA"}})
    (other / "run.json").write_text(record.model_dump_json())
    told = ending_text([saved_runs["sink"], other]).splitlines()
    assert [line.split("  ")[1] for line in told[1:3]] == [
        "sink, planted val",
        "sink, planted testA",
    ]


def test_what_is_missing_of_runs(saved_runs):
    record = read_record(saved_runs["sink"])
    assert missing_lines([record], {"H4"}) == []
    limited = record.model_copy(update={"limit": 12, "state": "partial"})
    assert (
        "only the first 12 images of those that a study takes were read"
        in missing_lines([limited], {"H4"})[0]
    )
    fewer = limited.model_copy(update={"limit": 5})
    told = missing_lines([limited, fewer, limited], {"H4"})[0]
    assert "only the first 12 images or 5 images of those that a study takes were read" in told
    broken = record.model_copy(
        update={"parts_done": 0, "counts": Counts(expected=9, done=7, failed=2)}
    )
    told = " ".join(missing_lines([broken], {"H4"}))
    assert "parts of sink are missing" in told
    assert "2 samples failed" in told


def test_progress_counts_studies_and_tells_each_verdict(tmp_path, capsys):
    watch = partial(progress, ["sink", "sweep"])
    assert watch(Event("progress", "sink", tmp_path, 50, 100)) == "study 1 of 2"
    watch(Event("finished", "sweep", tmp_path, summary=summary("sweep", claim("random@8"))))
    assert "study 2 of 2, sweep: With 8 tokens to keep" in capsys.readouterr().err
