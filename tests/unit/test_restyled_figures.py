"""Figures in a column of a paper: width, letters, colours and names of one's own."""

import io
from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Annotation, Text
from PIL import Image

from litelvlm.analysis.api import SavedRun
from litelvlm.analysis.cli import main
from litelvlm.analysis.studies.examples import Example
from litelvlm.figures import FIGURES, saved, style
from litelvlm.figures.ablations import draw_budgets, draw_gain
from litelvlm.figures.examples import draw_examples
from litelvlm.figures.files import draw_figure
from litelvlm.figures.sweep import draw_accuracy, draw_retention

COLUMN = {"figure.figsize": (3.25, 2.2), "font.size": 7, "axes.labelsize": 7}
OWN = {"litelvlm": {"label": "Ours", "colour": "#123456", "linestyle": ":"}}


def width_of(content):
    with Image.open(io.BytesIO(content)) as picture:
        return picture.width / mpl.rcParams["savefig.dpi"]


def test_settings_go_over_the_house_style_and_leave_nothing_behind(saved_runs):
    before = dict(mpl.rcParams)
    figure = draw_figure("accuracy_ciou", saved_runs["sweep"], COLUMN)
    assert tuple(figure.get_size_inches()) == (3.25, 2.2)
    assert figure.axes[0].xaxis.label.get_fontsize() == 7
    plain = draw_figure("accuracy_ciou", saved_runs["sweep"])
    assert figure.axes[0].spines["top"].get_visible() == plain.axes[0].spines["top"].get_visible()
    assert plain.get_size_inches()[0] > 6
    assert dict(mpl.rcParams) == before


def test_a_stated_width_is_that_of_the_file():
    for styles, exact in (((COLUMN,), True), ((), False)):
        with style.styled(*styles):
            figure, ax = style.new_figure()
            ax.set_xlabel("visual tokens")
            style.note(figure, "n = 196 expressions from 30 images; bands: 95 % intervals.")
            wide = width_of(style.encode(figure, "png")["png"])
        assert (wide == pytest.approx(3.25, abs=0.01)) is exact


def test_methods_are_drawn_in_ones_own_way_and_others_as_ever(saved_runs):
    table = SavedRun(saved_runs["sweep"]).table("scores")
    looks = style.look("litelvlm"), style.look("random")
    with style.styled(), style.drawn_as(OWN):
        _, ax = style.new_figure()
        draw_accuracy(table, "ciou", ax)
        assert style.look("random") == looks[1]
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert to_hex(lines["Ours"].get_color()) == "#123456"
    assert lines["Ours"].get_linestyle() == ":"
    assert "#123456" in {to_hex(band.get_facecolor()[0]) for band in ax.collections}
    assert style.look("litelvlm") == looks[0]


def test_ones_own_way_reaches_the_ablations_and_goes_before_the_line_of_oracles(saved_runs):
    names = ["litelvlm:paper", "litelvlm(texts=empty)", "mask_oracle"]
    own = {"colour": "#123456", "marker": "*", "linestyle": "-."}
    table = pd.DataFrame({"method": names, "metric": "ciou", "value": 0.5, "budget": 8})
    table = table.assign(low=0.4, high=0.6)
    gains = pd.DataFrame({"method": names, "quarter": 1, "ri": 0.5, "delta": 0.1})
    gains = gains.assign(low=0.0, high=0.2, low_categories=0.0, high_categories=0.2)
    drawn = {
        draw_budgets: (table, names[:2]),
        draw_gain: (gains, names[:1]),
        partial(draw_accuracy, metric="ciou"): (table, names),
    }
    for draw, (lines, shown) in drawn.items():
        with style.drawn_as({name: own | {"label": f"my {name}"} for name in names}):
            _, ax = style.new_figure()
            draw(lines, ax=ax)
        handles, labels = ax.get_legend_handles_labels()
        lines = [handle[0] if isinstance(handle, tuple) else handle for handle in handles]
        found = {
            label: (to_hex(line.get_color()), line.get_marker(), line.get_linestyle())
            for label, line in zip(labels, lines, strict=True)
        }
        assert found == {f"my {name}": ("#123456", "*", "-.") for name in shown}
    # Where no line may join the points, none does.
    with style.drawn_as({"random": own}):
        assert style.look("random", linestyle="none").linestyle == "none"


def test_no_title_is_cut_off_at_a_stated_width(saved_runs, monkeypatch):
    monkeypatch.setattr(saved, "is_miniature", lambda record: True)
    wide = {"figure.figsize": (3.25, 2.6), "font.size": 7, "axes.titlesize": 8}
    for name in ("ablation_strata", "reversal_recall"):
        run = saved_runs[FIGURES[name].study]
        with style.styled(wide):
            figure = FIGURES[name].drawn(saved.Saved(run)).figure
            written = [text.get_text() for text in figure.findobj(Text)]
            style.encode(figure, "svg")
            figure.dpi = mpl.rcParams["savefig.dpi"]
            figure.draw_without_rendering()
        box = figure.get_tightbbox()
        assert box.x0 >= -0.01, name
        assert box.x1 <= 3.26, name
        shown = [text.get_text() for text in figure.findobj(Text)]
        (title,) = (text for text in shown if "(miniature" in text.replace("\n", " "))
        assert title.replace("\n", " ") in written
    assert "\n" in title


def test_headings_and_shared_labels_follow_the_letters_of_the_style(saved_runs):
    for styles, title, label in (((), 11, 9), ((COLUMN | {"axes.titlesize": 8},), 8, 7)):
        figure = draw_figure("delta_random", saved_runs["sweep"], *styles)
        sizes = {text.get_fontsize() for text in figure.texts}
        assert sizes == {title, label}


def test_a_word_that_is_wider_than_the_figure_is_refused():
    with style.styled(COLUMN):
        figure, ax = style.new_figure()
        ax.set_title("words of a title, and a " + "very" * 30)
        with pytest.raises(ValueError, match=r"find no room in 3\.25 x 2\.2 inches; state a"):
            style.encode(figure, "png")


def test_lines_of_two_runs_are_not_joined_and_an_unknown_score_is_named(saved_runs):
    scores, pairs = (SavedRun(saved_runs["sweep"]).table(t) for t in ("scores", "comparisons"))
    _, ax = style.new_figure()
    with pytest.raises(ValueError, match=r"at \d+ tokens stands in the table twice"):
        draw_accuracy(pd.concat([scores, scores]), "ciou", ax)
    with pytest.raises(ValueError, match=r"at \d+ tokens stands in the table twice"):
        draw_retention(pd.concat([pairs, pairs]), ax)
    with pytest.raises(ValueError, match=r"unknown metric 'cIoU'\. Allowed: ciou"):
        draw_accuracy(scores, "cIoU", ax)


def test_dollars_of_an_expression_are_no_formula():
    text, panel = r"the $ and the $10 note", np.zeros((4, 4, 3), np.uint8)
    figure = draw_examples([Example(text, 50, ("all",), (panel,))])
    (words,) = (one for one in figure.findobj(Annotation))
    assert words._preprocess_math(words.get_text()) == (f"“{text}”", False)


def test_what_is_no_look_and_no_style_is_refused(saved_runs, tmp_path, capsys):
    with (
        pytest.raises(ValueError, match=r"look of 'litelvlm': 'color'.*colour"),
        style.drawn_as({"litelvlm": {"color": "red"}}),
    ):
        pass
    asked = ["figure", "accuracy_ciou", "--from", str(saved_runs["sweep"]), "--partial"]
    asked += ["--out", str(tmp_path)]
    assert main([*asked, "--style", "colum.mplstyle"]) == 2
    assert "there is no style 'colum.mplstyle'" in capsys.readouterr().err
    own = tmp_path / "column.mplstyle"
    own.write_text("figure.figsize: 3.25, 1.6\n")
    assert main([*asked, "--style", str(own)]) == 2
    assert "the axes find no room in 3.25 x 1.6 inches" in capsys.readouterr().err
    own.write_text("figure.figsize: 6.75, 4\nfont.size: 7\n")
    assert main([*asked, "--style", str(own)]) == 0
    with style.styled():
        assert width_of((tmp_path / "accuracy_ciou.png").read_bytes()) == pytest.approx(
            6.75, abs=0.01
        )
