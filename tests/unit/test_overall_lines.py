"""Avg. and Rel. of the published table: what is printed, how wide the interval is, what is left."""

import math

import numpy as np
import pandas as pd
import pytest
from test_reproduction import finished

from litelvlm.analysis.reproduce.accuracy import (
    accuracy_lines,
    missing_splits,
    overall_lines,
    published_ciou,
)
from litelvlm.analysis.reproduce.sampling import (
    ROUNDING,
    SplitPixels,
    average_against_one_run,
    share_against_one_run,
)
from litelvlm.analysis.reproduce.text import frame
from litelvlm.analysis.studies import published


def test_the_published_averages_are_those_of_the_published_columns():
    """Avg. is the mean of eight columns, and Rel. the share of Avg. but for one row."""
    assert published.AVERAGES.keys() == published.ACCURACY.keys()
    whole = np.mean(published.UNPRUNED)
    assert pytest.approx(published.UNPRUNED_AVERAGE, abs=0.1) == whole
    off = {}
    for row, (average, share) in published.AVERAGES.items():
        mean = np.mean(published.ACCURACY[row])
        assert average == pytest.approx(mean, abs=0.1)
        off[row] = abs(share - 100 * mean / whole)
    assert off.pop(("TRIM", 64)) == pytest.approx(0.4, abs=0.05)
    assert max(off.values()) < 0.2


def drawn(rng, images, draws, noise=0.1):
    """Shares of images in so many draws: what an image is, and what its drawn sentences add."""
    return images[:, None] + rng.normal(0, noise, (len(images), draws))


def test_the_intervals_hold_one_official_run_about_as_often_as_they_say():
    """Three splits of planted images; a part of each is ours, one more draw of all is theirs."""
    whole, n, draws, trials = 300, 90, 3, 400
    held, widths = {"average": 0, "share": 0}, []
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        pruned, unpruned, official = [], [], []
        for level in (0.5, 0.6, 0.7):
            images = level + rng.normal(0, 0.12, whole)
            union = rng.integers(500, 5000, whole)[:, None] * np.ones((1, draws))
            base = drawn(rng, images, draws)
            # The pruned model keeps nine tenths of what the same image and draw give. Official runs
            # draw anew for each method, so theirs share the image alone.
            kept = 0.9 * base + rng.normal(0, 0.05, base.shape)
            theirs = np.hstack(
                [0.9 * drawn(rng, images, 1) + rng.normal(0, 0.05, (whole, 1)),
                 drawn(rng, images, 1)]
            )  # fmt: skip
            official.append((theirs * union[:, :1]).sum(0) / union[:, 0].sum())
            chosen = rng.choice(whole, n, replace=False)
            for side, scores in ((pruned, kept), (unpruned, base)):
                side.append(SplitPixels((scores * union)[chosen], union[chosen], whole))
        average = average_against_one_run(pruned)
        share = share_against_one_run(pruned, unpruned)
        own, base = np.mean(official, axis=0)
        held["average"] += abs(average.ciou - own) <= 1.96 * average.error
        held["share"] += abs(share.ciou - own / base) <= 1.96 * share.error
        widths.append(share.error / (average.error / base))
    assert 0.92 <= held["average"] / trials <= 0.98
    assert 0.92 <= held["share"] / trials <= 0.98
    # What both sides share does not count, so a share is known better than its numerator.
    assert np.mean(widths) < 0.8


def test_the_variances_of_splits_add_up():
    rng = np.random.default_rng(0)
    splits = []
    for level in (0.4, 0.8):
        union = rng.integers(500, 5000, 40)[:, None] * np.ones((1, 2))
        splits.append(SplitPixels(drawn(rng, rng.normal(level, 0.1, 40), 2) * union, union, 100))
    alone = [average_against_one_run([split]) for split in splits]
    both = average_against_one_run(splits)
    assert both.ciou == pytest.approx(np.mean([one.ciou for one in alone]))
    variances = [one.error**2 - ROUNDING**2 for one in alone]
    assert both.error == pytest.approx(math.hypot(math.sqrt(sum(variances) / 4), ROUNDING))
    # A model that keeps everything has a share of 1. Ours then says nothing about images.
    share = share_against_one_run(splits, splits)
    assert share.ciou == 1
    assert share.error < both.error / both.ciou
    with pytest.raises(ValueError, match="the same images and draws"):
        share_against_one_run(splits, [splits[0], splits[1]._replace(inter=rng.random((3, 2)))])


METHODS = {"none": 576, "litelvlm": 192, "trim": 192, "random": 192}


def measured(place, n=30, comparable=True):
    """A split whose methods score the published number, and random tokens half of the unpruned."""
    known, found = published_ciou(place), []
    for method, budget in METHODS.items():
        _, number = known.get((method, budget), ("", known["none", 576][1] / 2))
        found += [
            {"image_id": image, "sent_id": image, "seed": seed, "method": method,
             "budget": budget, "union_px": 1000, "inter_px": 10 * number + 8 * (image % 3 - 1)}
            for image in range(n)
            for seed in range(2)
        ]  # fmt: skip
    family = "full" if comparable else "miniature"
    return finished(pd.DataFrame(found), n, place=place, family=family)


def test_both_columns_are_printed_with_what_was_not_measured():
    lines = overall_lines([measured(place) for place in published.SPLITS])
    by_name = {(line.quantity, line.method): line for line in lines}
    own = by_name["Avg.", "litelvlm"]
    assert (own.place, own.label, own.published) == ("all splits", "LiteLVLM", 68.1)
    assert own.measured == pytest.approx(np.mean(published.ACCURACY["LiteLVLM", 192]))
    assert own.verdict == "agrees"
    assert (own.n_images, own.n) == (240, 480)
    kept = by_name["Rel.", "litelvlm"]
    assert kept.published == 90.3
    assert kept.measured == pytest.approx(100 * own.measured / np.mean(published.UNPRUNED))
    assert by_name["Avg.", "none"].published == 75.5
    assert ("Rel.", "none") not in by_name
    assert by_name["Rel.", "random"].measured == pytest.approx(50)
    assert by_name["Rel.", "random"].verdict == "no published number"
    # Rows of the paper that nobody measured stand there, without a number of ours.
    absent = by_name["Rel.", "LLaVA-PruMerge"]
    assert (absent.published, absent.verdict, absent.n_images) == (83.5, "not measured", 0)
    assert math.isnan(absent.measured)
    assert by_name["Avg.", "fastv"].verdict == "not measured"
    # Only budgets that were measured: the paper's rows at 128 and 64 tokens do not come.
    assert {line.tokens for line in lines} == {576, 192}
    table = frame(lines)
    (row,) = table[(table["method"] == "LLaVA-PruMerge") & (table["quantity"] == "Rel.")].to_numpy()
    assert [*row[3:]] == ["83.5", "-", "-", "-", "-", "0", "not measured"]


def test_a_missing_split_leaves_both_columns_out_and_is_named():
    places = published.SPLITS
    some = [measured(place) for place in places if place != ("refcoco+", "testB")]
    assert overall_lines(some) == ()
    assert missing_splits([split.place for split in some]) == ("refcoco+/testB",)
    assert missing_splits(places) == ()


def test_one_split_that_is_not_the_published_one_makes_both_columns_not_comparable():
    splits = [measured(place, comparable=place[0] != "refcocog") for place in published.SPLITS]
    lines = overall_lines(splits)
    assert {line.verdict for line in lines if line.label and line.n} == {"not comparable"}
    few = [measured(place, n=12 if place[1] == "test" else 30) for place in published.SPLITS]
    assert {line.verdict for line in overall_lines(few) if line.label and line.n} == {
        "undetermined"
    }


def test_rows_of_the_paper_without_a_method_here_stand_in_every_split():
    lines = accuracy_lines(measured(("refcoco", "val")))
    more = [line for line in lines if not line.n]
    assert {(line.method, line.published) for line in more} == {
        ("LLaVA-PruMerge", 68.8), ("fastv", 69.5), ("visionzip", 71.1), ("vispruner", 72.4),
    }  # fmt: skip
    assert {line.verdict for line in more} == {"not measured"}
