"""The motivating figures show the model's own numbers.

A figure drawn again is the same file.
"""

import numpy as np
import pytest

from litelvlm import get_pruner
from litelvlm.analysis.api import complete_run
from litelvlm.analysis.studies import sweep
from litelvlm.analysis.studies.motivation_file import read_motivation
from litelvlm.analysis.studies.sweep.examples import chosen_samples, save_examples
from litelvlm.analysis.studies.sweep.motivation import save_motivation
from litelvlm.figures.pictures import motivation
from tests.figure_files import KINDS, new_figure, write_figures
from tests.glamm_parts import conversation
from tests.study_inputs import token_coverage

NAMES = tuple(motivation.DRAWINGS)


class First(list):
    """The first images of a data set."""

    name = split = split_by = digest = "first"


@pytest.fixture(scope="module")
def run(model, data, tmp_path_factory):
    config = sweep.Config(methods=("litelvlm", "random"), budgets=(16,), seeds=1, limit=2)
    folder = complete_run(sweep.STUDY, model, data, config, tmp_path_factory.mktemp("runs"))
    save_examples(model, data, folder)
    save_motivation(model, First(data[:3]), folder)
    return folder


@pytest.fixture(scope="module")
def found(run):
    return read_motivation(run)


def axes_of(rows, columns):
    figure, _ = new_figure()
    figure.clear()
    return figure.subplots(rows, columns, squeeze=False).tolist()


def test_maps_and_panels_are_those_of_the_model(model, data, run, found):
    sample, expression, case = chosen_samples(data, run)[0]
    example = found.examples[0]
    assert example.case == case
    state, talk = model.encode_image(sample.image()), conversation([expression.sent])
    cues = model.cues(state, talk, key=int(sample.image_id))
    scores = -get_pruner("low_similarity").score(cues).numpy()
    shown = example.similarity[~np.isnan(example.similarity)]
    assert (example.text, found.budget) == (expression.sent, 16)
    np.testing.assert_allclose(np.unique(shown), np.unique(scores.astype(np.float32)), rtol=1e-5)
    np.testing.assert_array_equal(example.mask, sample.mask(expression) > 0)
    mask = (
        model.segment(sample.image(), expression.sent, get_pruner("litelvlm"), budget=16)
        .mask[0]
        .numpy()
    )
    truth = sample.mask(expression) > 0
    assert example.ious[0] == pytest.approx((mask & truth).sum() / (mask | truth).sum())
    assert sum(example.attention) == pytest.approx(1, abs=1e-5)


def test_tokens_on_and_off_the_referent_are_standardised_by_image(model, data, found):
    counts = np.zeros(2, dtype=int)
    for sample in data[:3]:
        covered = token_coverage(sample.mask(sample.expressions[0]) > 0, model)
        counts += [(covered >= 0.5).sum(), (covered <= 0.05).sum()]
    assert [len(found.inside), len(found.outside)] == counts.tolist()
    assert found.n_images == 3
    # nearly all tokens are on or off, so together they have about mean 0 and deviation 1
    assert abs(np.concatenate([found.inside, found.outside]).mean()) < 0.2


def test_the_drawn_distributions_are_the_saved_ones(found):
    ax = motivation.draw_distributions(found.inside, found.outside, new_figure()[1])
    steps = [patch.get_data() for patch in ax.patches]
    for step, values in zip(steps[1::2], (found.inside, found.outside), strict=True):
        expected, _ = np.histogram(np.clip(values, -4, 4), motivation.EDGES, density=True)
        np.testing.assert_allclose(step.values, expected)
    assert [line.get_xdata()[0] for line in ax.get_lines()] == pytest.approx(
        [found.inside.mean(), found.outside.mean()]
    )


def test_the_drawn_maps_and_words_are_the_saved_ones(found):
    rows = axes_of(len(found.examples), 3)
    motivation.draw_maps(found.examples, rows)
    for example, (left, middle, right) in zip(found.examples, rows, strict=True):
        np.testing.assert_array_equal(left.get_images()[0].get_array(), example.picture)
        np.testing.assert_array_equal(
            middle.get_images()[1].get_array().filled(np.nan), example.similarity
        )
        assert [bar.get_height() for bar in right.patches] == pytest.approx(
            example.attention.tolist()
        )
        assert [label.get_text() for label in right.get_xticklabels()] == list(example.words)


def test_the_drawn_methods_are_the_saved_ones(found):
    rows = axes_of(len(found.examples), 3)
    motivation.draw_methods(found.examples, rows)
    for example, (truth, *row) in zip(found.examples, rows, strict=True):
        assert truth.get_title() == "true mask"
        np.testing.assert_array_equal(truth.get_images()[0].get_array(), example.picture)
        assert [ax.get_title().split("\n")[0] for ax in row] == ["LiteLVLM", "random"]
        assert [ax.get_title().split(" ")[-1] for ax in row] == [
            f"{iou:.2f}" for iou in example.ious
        ]
        np.testing.assert_array_equal(row[1].get_images()[0].get_array(), example.panels[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_drawn_again_is_the_same_file(run, tmp_path, name):
    (first,) = write_figures(name, [run], tmp_path / "a", partial=True)
    (again,) = write_figures(name, [run], tmp_path / "b", partial=True)
    assert "n = " in first.caption
    for kind in KINDS:
        assert first.files[kind].read_bytes() == again.files[kind].read_bytes(), kind


def test_what_is_there_is_not_computed_again(model, data, run, monkeypatch):
    monkeypatch.setattr(type(model), "encode_image", lambda *of: pytest.fail("computed again"))
    assert save_motivation(model, data, run).is_file()
