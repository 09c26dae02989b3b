"""The design of the trainings: balanced cells, known words, texts that say enough."""

import re
from itertools import combinations

import numpy as np
import pytest

from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.data.worlds.pictograms.places import WORDS as PLACE_WORDS
from litelvlm.data.worlds.pictograms.scenes import LEVELS, level_vocabulary
from litelvlm.training.trainings.captions import Thing, draw_caption, draw_informative
from litelvlm.training.trainings.design import (
    ALONE,
    BASES,
    FRACTIONS,
    TOGETHER,
    cell_name,
    fraction,
    members,
)
from litelvlm.training.trainings.factors import Factors
from litelvlm.training.trainings.words import FILLERS, UNKNOWN, caption_tokenizer, split
from tests.glamm_parts import QUESTIONS, question

THINGS = [
    Thing("dog", "small", "red"),
    Thing("traffic light", "large", None),
    Thing("cat", "large", None),
]


@pytest.fixture(scope="module")
def tokenizer():
    return caption_tokenizer()


@pytest.mark.parametrize("stage", list(FRACTIONS))
def test_no_main_effect_is_mixed_with_an_interaction_of_two(stage):
    signs = 2 * np.array(fraction(FRACTIONS[stage])) - 1
    assert signs.shape == (16, 5)
    assert len({tuple(row) for row in signs.tolist()}) == 16
    columns = [*signs.T]
    columns += [signs[:, a] * signs[:, b] for a, b in combinations(range(5), 2)]
    for first, second in combinations(columns, 2):
        assert first @ second == 0
    assert all(column.sum() == 0 for column in columns)


@pytest.mark.parametrize("stage", list(ALONE))
def test_each_cell_changes_one_factor(stage):
    base = vars(BASES[stage])
    for member in members((stage,)):
        changed = [name for name, value in vars(member.factors).items() if value != base[name]]
        if member.cell in (*map(cell_name, TOGETHER), "base"):
            continue
        assert len(changed) == 1
        assert member.cell.startswith(changed[0])


def test_cells_that_join_changes_change_what_their_name_says():
    for stage in ALONE:
        found = {member.cell: member.factors for member in members((stage,))}
        assert found["base"] == BASES[stage]
        for changes in TOGETHER:
            factors = vars(found[cell_name(changes)])
            assert factors == vars(BASES[stage]) | dict(changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"uninformative": 1.5}, r"uninformative\n.*less than or equal to 0\.9"),
        ({"scope": "scne"}, r"scope\n.*'object', 'some', 'scene'"),
        ({"width": 40}, "multiple of 16"),
        ({"image": "bag", "registers": 4}, "a bag of objects has no patches"),
    ],
)
def test_bad_factors_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        Factors(**changes)


def test_every_text_of_the_suite_and_of_captions_has_known_words(tokenizer):
    texts = [question(name, i) for name in CATEGORIES for i in range(len(QUESTIONS))]
    texts += [
        *FILLERS,
        *PLACE_WORDS.values(),
        *(" ".join(level_vocabulary(level)) for level in LEVELS),
    ]
    rng = np.random.default_rng(0)
    for scope in ("object", "some", "scene", "place", "long"):
        factors = Factors(scope=scope, filler=30, uninformative=0.3)
        texts += [draw_caption(THINGS, "brick", factors, rng) for _ in range(100)]
    unknown = tokenizer.convert_tokens_to_ids(UNKNOWN)
    for text, ids in zip(texts, tokenizer(texts)["input_ids"], strict=True):
        assert unknown not in ids, text
        assert len(ids) == len(split(text)) + 2
        assert ids[0] == tokenizer.bos_token_id
        assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer("zebrafish")["input_ids"][1] == unknown
    assert len(tokenizer("")["input_ids"]) == 2


def test_training_shows_every_question_template():
    rng = np.random.default_rng(0)
    factors = Factors(scope="object", questions=0.3)
    seen = {draw_informative(THINGS[1:2], "sky", factors, rng) for _ in range(4000)}
    for template in QUESTIONS:
        assert any(
            text in seen
            for text in (template.format("traffic light"), template.format("large traffic light"))
        )


def named(text):
    words = re.sub(r"\W+", " ", text)
    return {thing.category for thing in THINGS if re.search(rf"\b{thing.category}\b", words)}


def test_scopes_say_what_they_promise():
    rng = np.random.default_rng(1)

    def texts(**changes):
        return [draw_caption(THINGS, "brick", Factors(**changes), rng) for _ in range(300)]

    assert {len(named(text)) for text in texts(scope="object")} == {1}
    assert {len(named(text)) for text in texts(scope="some")} == {1, 2, 3}
    assert {len(named(text)) for text in texts(scope="scene")} == {3}
    assert all("brick" not in text for text in texts(scope="scene"))
    place = np.mean(["brick" in text for text in texts(scope="place")])
    assert 0.6 < place < 0.8
    plain, long, full = (
        np.mean([len(text.split()) for text in texts(**changes)])
        for changes in ({}, {"scope": "long"}, {"filler": 30})
    )
    assert long > 1.6 * plain
    assert 10 < full - plain < 20
    # Only dyed objects have a colour.
    coloured = [text for text in texts(scope="scene") if "red" in text.split()]
    assert coloured
    assert all("red dog" in text for text in coloured)


def test_uninformative_captions_name_nothing():
    rng = np.random.default_rng(2)
    texts = [draw_caption(THINGS, "sky", Factors(uninformative=0.5), rng) for _ in range(600)]
    silent = [text for text in texts if not named(text)]
    assert 0.42 < len(silent) / len(texts) < 0.58
    nouns = {word for name in CATEGORIES for word in name.split()}
    assert not nouns & {word for text in silent for word in text.split()}
    assert not nouns & set(FILLERS)
    assert {len(text.split()) for text in silent} <= set(range(2, 28))
