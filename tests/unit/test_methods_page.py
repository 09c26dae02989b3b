"""The page of all methods.

Its rows are methods and presets of the table, and every budget has a score or a refusal.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
from planted import PlantedModel, planted_data

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.pages.methods_page import agreement, methods_page
from litelvlm.analysis.studies import sweep
from litelvlm.pruning import ModelSizes
from tests.study_inputs import every_method

DOCS = Path(__file__).parents[2] / "docs"
PAGE, OFFICIAL = (
    (DOCS / name).read_text() for name in ("all-methods.md", "all-methods-together.md")
)
VALUE = re.compile(r"(-?\d\.\d{3}) \[(-?\d\.\d{3}), (-?\d\.\d{3})\]")
BUDGETS = (48, 32, 16, 8)


def lines_of(page):
    """Cells of every row of the table by the method's label."""
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return {cells[0].split("`")[1]: [cell.strip() for cell in cells] for cells in rows}


MEASURED = [
    method for method in every_method() if method.label in lines_of(PAGE) | lines_of(OFFICIAL)
]


@pytest.mark.parametrize("page", [PAGE, OFFICIAL], ids=["single", "official"])
def test_the_rows_are_methods_of_the_table_and_nearly_all_of_them(page):
    # A method that is new is measured when the whole page is made anew.
    known = {method.label for method in every_method()}
    assert set(lines_of(page)) <= known
    assert len(lines_of(page)) >= 60


@pytest.mark.parametrize("page", [PAGE, OFFICIAL], ids=["single", "official"])
@pytest.mark.parametrize("method", MEASURED, ids=lambda method: method.label)
def test_a_row_refuses_exactly_the_budgets_that_the_method_refuses(method, page):
    # The miniature: 144 tokens, four layers in the language model, five blocks in the image tower.
    sizes = ModelSizes(n_tokens=144, n_blocks=4, n_layers=4)
    _, stage, _, *cells = lines_of(page)[method.label]
    assert stage == method.pruner().stage.replace("_", " ")
    assert len(cells) == len(BUDGETS)
    for budget, cell in zip(BUDGETS, cells, strict=True):
        try:
            method.pruner().average_tokens(budget, sizes)
        except ValueError:
            assert cell == "refused"
            assert f"{method.label}@{budget}" in page.partition("## Refused budgets")[2]
        else:
            value, low, high = map(float, VALUE.fullmatch(cell).groups())
            assert low <= value <= high


@pytest.mark.parametrize("page", [PAGE, OFFICIAL], ids=["single", "official"])
def test_the_page_says_how_it_was_made_and_that_it_is_a_miniature(page):
    made = page.partition("## How it was made")[2]
    assert page.partition("| method |")[0].count("**Miniature.**") == 1
    assert re.search(r"\| command \| `litelvlm study sweep --methods all .*` \|", made)
    assert re.search(r"\| machine \| .*cores.*\|", made)
    assert re.search(r"\| date \| \d{4}-\d\d-\d\d \|", made)
    assert re.search(r"on \d+ questions about \d+ images", page)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    config = sweep.Config(
        methods=("litelvlm", "low_similarity", "random", "mask_oracle"), seeds=2, budgets=(48, 8)
    )
    return complete_run(
        sweep.STUDY,
        PlantedModel("instance"),
        planted_data(4),
        config,
        tmp_path_factory.mktemp("runs"),
    )


def test_the_page_is_made_from_the_run(folder):
    page = methods_page(folder)
    lines = lines_of(page)
    scores = read_summary(folder).table("scores").set_index(["metric", "method", "budget"])
    assert set(lines) == {"litelvlm", "low_similarity", "random", "mask_oracle"}
    for method, cells in lines.items():
        for budget, cell in zip((48, 8), cells[3:], strict=True):
            assert cell.split()[0] == f"{scores.loc[('ciou', method, budget), 'value']:.3f}"
    assert lines["mask_oracle"][2] == "true mask"
    assert "means over 2 draws" in page
    assert page.startswith(
        "# All methods, in all presets, single protocol: one expression per conversation\n"
    )
    assert "**Miniature.**" not in page
    assert f"`{read_record(folder).command}`" in page


def test_a_page_of_the_official_protocol_says_so(tmp_path):
    config = sweep.Config(methods=("litelvlm",), seeds=2, budgets=(48,), protocol="official")
    page = methods_page(
        complete_run(sweep.STUDY, PlantedModel("instance"), planted_data(4), config, tmp_path)
    )
    assert page.startswith(
        "# All methods, in all presets, official protocol: "
        "up to three drawn expressions of an image in one conversation\n"
    )
    # Two draws of both expressions of four images.
    assert "on 16 questions about 4 images" in page
    assert "the same 2 draws of expressions and templates" in " ".join(page.split())
    assert "one expression, with one template" not in page


def test_rows_with_the_same_masks_are_named(folder):
    # One text leaves LiteLVLM no room for context, so that it is the lowest similarity alone.
    rows = read_rows(folder).query("method != 'mask_oracle'")
    assert agreement(rows) == "`litelvlm`, `low_similarity` at 48, 8"
    assert agreement(rows.query("method != 'low_similarity'")) == ""


def test_a_run_that_is_no_whole_sweep_is_refused(folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / folder.name)
    record = json.loads((copied / "run.json").read_text())
    (copied / "run.json").write_text(json.dumps(record | {"parts_done": 0}))
    with pytest.raises(ValueError, match="not a complete sweep"):
        methods_page(copied)
