"""A part of a split that is balanced over category and size, and the interval that goes with it."""

import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from planted import PATCH, PlantedData, PlantedSample
from refer_tree import annotation

from litelvlm.analysis.inputs.balanced import UNSTATED, BalancedSubset, stratum
from litelvlm.analysis.inputs.subset import middles
from litelvlm.analysis.reproduce.accuracy import accuracy_lines
from litelvlm.analysis.reproduce.lines import FinishedSplit
from litelvlm.analysis.reproduce.run import part_of
from litelvlm.analysis.reproduce.sampling import SplitPixels, average_against_one_run
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.data.annotations import RefDataError, read_instances
from litelvlm.data.dataset import Expression

SHARES = {1: 96, 2: 40, 3: 18, 7: 5, 9: 1}
"""Images of each category: uneven, as in RefCOCO."""


def sample(number, category, cells, expressions=1):
    """One image with one referent of a category that covers some cells of its grid."""
    codes = np.zeros((6, 6), int)
    codes.flat[:cells] = 1
    stated = () if category is None else (category,)
    said = tuple(
        Expression(10 * number + turn, number, (10 * number + 1,), stated, f"thing {turn}")
        for turn in range(expressions)
    )
    return PlantedSample(number, codes, said)


@pytest.fixture
def split():
    """Images of uneven categories and sizes in an order that has nothing to do with either."""
    rng, data = np.random.default_rng(0), PlantedData()
    kinds = rng.permutation([c for c, count in SHARES.items() for _ in range(count)])
    data += [
        sample(number, int(category), int(rng.integers(1, 30)), int(rng.integers(1, 9)))
        for number, category in enumerate(kinds, start=1)
    ]
    data.categories = {1: "person", 2: "chair", 3: "cat"}
    return data


@pytest.mark.parametrize("images", [7, 20, 53, 159])
def test_every_category_and_size_has_its_share(split, images):
    part = BalancedSubset(split, images)
    assert len(part) == len(set(part.order)) == images
    held = Counter(found.expressions[0].category_id[0] for found in part)
    assert held == part.held
    for category, count in SHARES.items():
        assert abs(held[category] - images * count / len(split)) < 1
    # Of one category, small and large referents: no fifth of its sizes is left out or doubled.
    sizes = sorted(stratum(found)[1] for found in split if stratum(found)[0] == 1)
    chosen = np.array([stratum(found)[1] for found in part if stratum(found)[0] == 1])
    edges = [sizes[len(sizes) * fifth // 5] for fifth in range(5)]
    counts = np.diff([*np.searchsorted(np.sort(chosen), edges), len(chosen)])
    assert np.abs(counts - len(chosen) / 5).max() <= 2


def test_a_part_is_always_the_same_and_says_what_it_is_made_of(split):
    part, other = BalancedSubset(split, 40), BalancedSubset(split, 40)
    assert (part.order, part.digest, part.indices) == (other.order, other.digest, other.indices)
    assert part.indices == sorted(part.indices)
    assert len({BalancedSubset(split, n).digest for n in (39, 40)} | {split.digest}) == 3
    assert part.text.startswith(
        "40 of 160 images, each once, balanced over category and size of the referent: "
        "person (24), chair (10), cat (4), category 7 (2)"
    )
    assert [split[index].expressions for index in part.indices] == [s.expressions for s in part]
    assert (part.name, part.split, part.split_by) == (split.name, split.split, split.split_by)
    assert len(BalancedSubset(split, 500)) == len(split)
    assert len(BalancedSubset(PlantedData(), 3)) == 0
    assert middles(3, 5) == [0, 1, 2]


def test_a_copy_without_categories_is_balanced_over_size():
    data = PlantedData(sample(number, None, 1 + number * 7 % 30) for number in range(60))
    part = BalancedSubset(data, 12)
    assert part.held == {UNSTATED: 12}
    assert "balanced over the size of the referent; this copy states no category" in part.text
    sizes = [stratum(found)[1] for found in data]
    chosen = [stratum(found)[1] for found in part]
    assert np.mean(chosen) == pytest.approx(np.mean(sizes), rel=0.03)


def test_the_category_of_an_object_stands_in_and_what_cannot_be_read_counts_as_nothing(
    tmp_path, monkeypatch
):
    bare = sample(1, None, 4)
    found = read_instances(_instances(annotation(11, [], 1) | {"category_id": 3}), tmp_path)
    known = found.annotations[11]
    held = PlantedSample(1, bare.codes, bare.expressions, {11: known})
    assert stratum(held) == (3, pytest.approx(4 / 36))

    def damaged(self, expression):
        raise RefDataError("no outline")

    monkeypatch.setattr(PlantedSample, "mask", damaged)
    assert stratum(held) == (3, 0.0)


def _instances(record):
    image = {"id": 1, "file_name": "1.jpg", "height": 6 * PATCH, "width": 6 * PATCH}
    categories = [{"id": 3, "name": "cat"}]
    return json.dumps(
        {"images": [image], "annotations": [record], "categories": categories}
    ).encode()


def test_the_interval_of_a_balanced_part_holds_the_official_run_and_is_narrower():
    """Categories explain much of the score; images are taken at even distances, from every start.

    A part that is taken so is closer to the whole than one drawn blindly. The differences of
    neighbours know it; the variance of all images does not.
    """
    whole, n, held, widths = 400, 50, [], []
    for trial in range(200):
        rng = np.random.default_rng(trial)
        level = np.sort(rng.choice([0.3, 0.5, 0.7, 0.9], whole))
        union = rng.integers(900, 1100, whole)[:, None] * np.ones((1, 3))
        inter = np.clip(level[:, None] + rng.normal(0, 0.1, (whole, 3)), 0, 1) * union
        official = inter[:, 0].sum() / union[:, 0].sum()
        start = int(rng.integers(whole // n))
        taken = (inter[start :: whole // n, 1:], union[start :: whole // n, 1:], whole)
        aware, blind = (
            average_against_one_run([SplitPixels(*taken, ordered=ordered)])
            for ordered in (True, False)
        )
        assert aware.ciou == blind.ciou
        held.append(abs(aware.ciou - official) <= 1.96 * aware.error)
        widths.append(aware.error / blind.error)
    assert 0.91 <= np.mean(held) <= 0.99
    assert np.mean(widths) < 0.6


def rows(part, draws=2):
    """Rows of a sweep on a part; the score grows with the category."""
    return pd.DataFrame(
        {"image_id": found.image_id, "sent_id": found.image_id, "seed": seed,
         "method": "litelvlm", "budget": 64, "union_px": 1000,
         "inter_px": 600 + 40 * found.expressions[0].category_id[0] + 10 * seed}
        for found in part
        for seed in range(draws)
    )  # fmt: skip


def test_the_table_of_a_part_says_what_differences_it_can_still_tell(split):
    asked = Settings(
        table="refseg", splits=(("refcoco", "testA"),), methods=("litelvlm",), tokens=(64,),
        draws=2, images=40,
    )  # fmt: skip
    part = part_of(asked, split)
    run = SimpleNamespace(rows=rows(part), record=SimpleNamespace(model={"family": "full"}))
    place = ("refcoco", "testA")
    line, blind = (
        accuracy_lines(FinishedSplit(place, run, 576, split, chosen))[0] for chosen in (part, None)
    )
    assert line.tells == pytest.approx(
        (1.96 + 0.84) / (2 * 1.96) * (line.high - line.low), rel=1e-2
    )
    assert (line.measured, line.n_images) == (blind.measured, 40)
    assert line.tells < blind.tells
