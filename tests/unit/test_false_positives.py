"""Confirmatory claims at their null under strong effects of image and category.

``benchmarks/false_positives.py`` runs the same studies, 400 of each with 4, 12 and 80 categories.
"""

from crossed_studies import rates


def test_no_confirmatory_claim_is_supported_by_categories_that_happened_to_be_drawn():
    found = rates((12, 60), n=60)
    assert set(found) == {f"H{number}" for number in range(1, 9)}
    # Of 60 studies at a level of 5 % at most 8 reject in 99 of 100 runs.
    assert max(rate["rejects"] for rate in found.values()) <= 8 / 60
    assert max(rate["supported"] for rate in found.values()) <= 8 / 60
    assert sum(rate["rejects"] for rate in found.values()) > 0
