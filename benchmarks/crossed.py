"""Coverage of intervals over images and categories: ``python benchmarks/crossed.py``.

A mean over expressions whose image, category and both together carry effects; categories of uneven
sizes (shares 1, 1/2, 1/3 and so on), one to three of them per image, one to three expressions each.
In further studies four of five expressions are about one category, and its objects are three times
as large: there the mean counts pixels. Three ways of making a 95 % interval meet the same simulated
data: components of variance (``litelvlm.analysis.stats.crossed``), the multiway-cluster sandwich
with t of the smaller number of clusters less one, and the pigeonhole bootstrap.
"""

import numpy as np
from common import run
from scipy import stats

from litelvlm.analysis.stats.crossed import crossed_mean

STUDIES, SLOW, RESAMPLES = 2_000, 400, 400
IMAGE, CELL, OWN = 0.5, 0.4, 0.3
EFFECTS = {"none": 0.0, "weak": 0.3, "strong": 1.0}
SHAPES = ((4, 40), (4, 160), (12, 40), (12, 160), (80, 160), (80, 400))
PER_IMAGE = {"1 to 3": (1, 4), "1": (1, 2)}
DOMINANT = ((12, 160), (80, 400))
LARGEST, PIXELS = 0.8, 3.0


def draw(rng, n_categories, n_images, effect, per_image, dominant=False):
    """One study: values, image ids and categories; the true mean is 0."""
    shares = 1 / np.arange(1, n_categories + 1)
    if dominant:
        shares = np.r_[LARGEST, np.full(n_categories - 1, (1 - LARGEST) / (n_categories - 1))]
    images, categories = [], []
    for image in range(n_images):
        number = min(int(rng.integers(*per_image)), n_categories)
        shown = rng.choice(n_categories, number, replace=False, p=shares / shares.sum())
        for category in shown:
            times = int(rng.integers(1, 4))
            images += [image] * times
            categories += [int(category)] * times
    image, category = np.array(images), np.array(categories)
    values = rng.normal(0, IMAGE, n_images)[image] + rng.normal(0, OWN, len(image))
    values += rng.normal(0, effect, n_categories)[category]
    values += rng.normal(0, CELL, (n_images, n_categories))[image, category]
    return values, image, category


def sandwich(values, image, category):
    """Half width of the two-way cluster-robust interval."""
    parts, least = [], len(values)
    both = image * (category.max() + 1) + category
    for groups in (image, category, both):
        index = np.unique(groups, return_inverse=True)[1]
        sums = np.bincount(index, weights=values - values.mean())
        n = len(sums)
        least = min(least, n)
        parts.append((sums**2).sum() / len(values) ** 2 * n / (n - 1))
    variance = max(parts[0] + parts[1] - parts[2], parts[0], parts[1])
    return stats.t.ppf(0.975, least - 1) * np.sqrt(variance)


def pigeonhole(values, image, category, rng):
    """Percentile interval from resampling images and categories independently."""
    sides = [np.unique(groups, return_inverse=True)[1] for groups in (image, category)]
    sizes = [side.max() + 1 for side in sides]
    means = []
    while len(means) < RESAMPLES:
        counts = [
            np.bincount(rng.integers(0, size, size), minlength=size)[side]
            for side, size in zip(sides, sizes, strict=True)
        ]
        weights = counts[0] * counts[1]
        if weights.sum():
            means.append((weights * values).sum() / weights.sum())
    return np.quantile(means, [0.025, 0.975])


def coverage(n_categories, n_images, effect, per_image):
    """Share of studies whose interval holds the true mean, by method, and median widths."""
    rng = np.random.default_rng([n_categories, n_images, round(10 * effect), per_image[1]])
    held, widths = {}, {}
    for number in range(STUDIES):
        data = draw(rng, n_categories, n_images, effect, per_image)
        ends = {"components": crossed_mean(*data).ends()}
        half = sandwich(*data)
        ends["sandwich"] = (data[0].mean() - half, data[0].mean() + half)
        if number < SLOW:
            ends["pigeonhole"] = tuple(pigeonhole(*data, rng))
        for name, (low, high) in ends.items():
            held.setdefault(name, []).append(low <= 0 <= high)
            widths.setdefault(name, []).append(high - low)
    return {
        "coverage": {name: round(float(np.mean(found)), 4) for name, found in held.items()},
        "median_width": {name: round(float(np.median(w)), 4) for name, w in widths.items()},
    }


def coverage_by_pixels(n_categories, n_images, effect):
    """The same where one category dominates the pixels; components of variance alone."""
    rng = np.random.default_rng([n_categories, n_images, round(10 * effect), 99])
    held, widths = [], []
    for _ in range(STUDIES):
        data = draw(rng, n_categories, n_images, effect, (1, 2), dominant=True)
        low, high = crossed_mean(*data, weights=np.where(data[2] == 0, PIXELS, 1.0)).ends()
        held.append(low <= 0 <= high)
        widths.append(high - low)
    return {
        "coverage": {"components": round(float(np.mean(held)), 4)},
        "median_width": {"components": round(float(np.median(widths)), 4)},
    }


def measure():
    """Every shape under every effect of the category."""
    lines = [
        {"categories": n, "images": m, "categories_per_image": words, "category_effect": name}
        | coverage(n, m, effect, per_image)
        for n, m in SHAPES
        for words, per_image in PER_IMAGE.items()
        for name, effect in EFFECTS.items()
    ]
    lines += [
        {"categories": n, "images": m, "categories_per_image": "1", "category_effect": name}
        | {"largest_category": LARGEST, "its_pixels": PIXELS}
        | coverage_by_pixels(n, m, effect)
        for n, m in DOMINANT
        for name, effect in EFFECTS.items()
    ]
    job = f"coverage of 95 % intervals, {STUDIES} studies per line ({SLOW} of the pigeonhole)"
    return {"job": job, "lines": lines}


if __name__ == "__main__":
    run(measure)
