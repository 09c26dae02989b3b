"""The official loader's draw: how many, from where, how even, and what it depends on."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from litelvlm.models.glamm.prompting.official_draws import official_draw
from tests.glamm_parts import ANSWERS, question


@pytest.mark.parametrize(("n", "turns"), [(1, 1), (2, 2), (3, 3), (40, 3)])
def test_up_to_three_different_expressions(n, turns):
    draw = official_draw(n, image_id=5, seed=1)
    assert (
        len(draw.expressions)
        == len(set(draw.expressions))
        == len(draw.questions)
        == len(draw.answers)
        == turns
    )
    assert set(draw.expressions) <= set(range(n))


def test_fewer_than_three_keep_their_order_three_do_not():
    draws = [official_draw(2, i, 0).expressions for i in range(50)]
    assert set(draws) == {(0, 1)}
    assert {official_draw(3, i, 0).expressions for i in range(200)} == set(permutations(range(3)))


def test_draws_are_uniform():
    draws = [official_draw(6, image, seed) for image in range(1000) for seed in range(5)]
    for drawn, n in ((0, 6), (1, 16), (2, 5)):
        values = [v for d in draws for v in (d.expressions, d.questions, d.answers)[drawn]]
        counts = np.array([Counter(values)[i] for i in range(n)])
        # 15000 draws: the chi-square statistic has mean n - 1; 4 standard deviations above is one
        # in 30000.
        expected = len(values) / n
        assert ((counts - expected) ** 2 / expected).sum() < n - 1 + 4 * np.sqrt(2 * (n - 1))
    pairs = Counter((d.questions[0], d.answers[0]) for d in draws)
    assert len(pairs) == 16 * 5


def test_draw_depends_on_seed_and_image_only():
    assert official_draw(9, 12, 3) == official_draw(9, 12, 3)
    assert len({official_draw(9, 12, seed) for seed in range(20)}) == 20
    assert len({official_draw(9, image, 0) for image in range(20)}) == 20


def test_conversation_has_the_drawn_turns():
    draw = official_draw(5, 3, 2)
    sentences = ["Left man", "the dog", "a red cup", "table", "sky"]
    talk = draw.conversation(sentences)
    assert talk.expressions == tuple(sentences[i].lower() for i in draw.expressions)
    assert talk.questions == tuple(
        question(sentences[i], q) for i, q in zip(draw.expressions, draw.questions, strict=True)
    )
    assert talk.answers == tuple(ANSWERS[a] for a in draw.answers)


@pytest.mark.parametrize(("n", "image", "seed"), [(0, 1, 1), (3, -1, 0), (3, 1, -1)])
def test_impossible_draws_are_refused(n, image, seed):
    with pytest.raises(ValueError, match=r"at least one|0 or above"):
        official_draw(n, image, seed)
