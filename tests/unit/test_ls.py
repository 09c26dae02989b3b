"""The table of methods that the command line prints is the classes' own description."""

import subprocess
import sys

import pytest

from litelvlm import get_pruner, list_pruners
from litelvlm.analysis.cli import main
from litelvlm.analysis.cli.actions.ls import method_rows, models
from litelvlm.analysis.studies import BENCH, QUESTIONS, STUDIES
from litelvlm.analysis.studies.table import get_study
from litelvlm.models.files import EMBEDDED
from litelvlm.models.vlm.families import VLM_FAMILIES, measured_differences
from litelvlm.models.vlm.load import EMBEDDED as LLAVAS
from litelvlm.models.vlm.load import PREFIX
from litelvlm.pruning import registry
from tests.study_inputs import Method


def test_methods_are_listed_with_their_columns():
    heading, *rows = method_rows()
    assert [row[0] for row in rows] == list(list_pruners())
    by_name = {row[0]: dict(zip(heading, row, strict=True)) for row in rows}
    assert [*by_name["trim"].values()] == [
        "trim", "pre_projector", "yes", "patch_embeds, patch_tokens, text_embeds",
        "raster, mean last", "contiguous", "yes", "no: reads the text",
        "arXiv 2409.10994", "Apache-2.0",
        "A", "paper", list_pruners()["trim"].summary,
    ]  # fmt: skip
    assert by_name["dart"]["cues"] == "layer's keys, layer's states"
    assert by_name["ivc_layer_add_on"]["cues"] == "layer's rotary, those of the other method"


def test_a_listing_imports_no_study_that_loads_towers_and_no_model_class():
    code = (
        "import sys\n"
        "from litelvlm.analysis.cli import main\n"
        "main(['ls'])\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "deepstack" in done.stdout
    assert "\nfamilies\n" in done.stdout
    loaded = set(done.stderr.split())
    assert "litelvlm.figures" in loaded
    assert not loaded & {
        *("open_clip", "captum", "torchvision", "transformers.modeling_utils"),
        *(f"litelvlm.analysis.studies.{name}" for name in STUDIES),
    }


def test_the_listed_models_are_those_that_names_load():
    assert set(models()) == {*EMBEDDED, *(f"{PREFIX}{name}" for name in LLAVAS)}


@pytest.mark.parametrize("name", STUDIES)
def test_the_listed_question_is_the_study_s_own(name):
    assert get_study(name).question == QUESTIONS[name]


@pytest.mark.parametrize("name", list_pruners())
def test_a_method_is_deployable_if_it_meets_all_four_conditions(name):
    method, inner = get_pruner(name), getattr(get_pruner(name), "of", None)
    encoder_only = method.stage != "llm" and not method.needs & {
        *("llm_attention", "llm_prompt_attention", "llm_gradient", "block_importance"),
        *("coverage", "box"),
    }
    wanted = encoder_only and not method.text_guided and method.flash_safe
    assert method.deployable is bool(wanted)
    assert method.deployable is not bool(method.obstacles)
    if inner is not None and not inner.deployable:
        assert not method.deployable
    row = dict(zip(method_rows()[0], next(r for r in method_rows() if r[0] == name), strict=True))
    assert row["deployable"] == ("yes" if wanted else f"no: {', '.join(method.obstacles)}")


@pytest.mark.parametrize("name", [*STUDIES, BENCH])
def test_the_columns_of_a_study_are_listed_with_what_they_mean(capsys, name):
    assert main(["ls", "columns", name]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["column", "type", "meaning"]
    described = get_study(name).columns
    assert [line.split()[0] for line in lines] == [column.name for column in described]
    assert len({column.name for column in described}) == len(described)
    assert all(line.endswith(".") for line in lines)


def test_columns_take_the_name_of_a_study_and_nothing_else_does(capsys):
    assert main(["ls", "columns"]) == 2
    assert "unknown study ''" in capsys.readouterr().err
    assert main(["ls", "methods", "sweep"]) == 2
    assert "only ls columns takes a study" in capsys.readouterr().err


OWN = '''
"""A method of one's own."""

from dataclasses import dataclass
from typing import ClassVar

from litelvlm.pruning import ScorePruner


@dataclass(frozen=True, kw_only=True)
class Loudest(ScorePruner):
    """Tokens with the largest norm."""

    name: ClassVar[str] = "loudest"
    title: ClassVar[str] = "Loudest"
    summary: ClassVar[str] = "tokens with the largest norm"
    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens"})

    def score(self, cues):
        return cues.float32("patch_tokens").norm(dim=-1)
'''


def test_a_plugin_enters_wherever_a_name_does(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    path = tmp_path / "own.py"
    path.write_text(OWN)
    assert main(["ls", "methods", "--plugin", str(path)]) == 0
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("loudest "))
    assert "tokens with the largest norm" in line
    assert Method.parse("loudest").label == "loudest"
    assert main(["ls", "methods", "--plugin", str(tmp_path / "none.py")]) == 2
    assert "none.py" in capsys.readouterr().err


def test_families_are_listed_with_their_measured_differences(capsys):
    assert main(["ls", "families"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    stored = measured_differences()
    assert list(stored) == list(VLM_FAMILIES)
    assert [tuple(line.split()[:2]) for line in lines] == [
        (name, kind) for name, proofs in stored.items() for kind in proofs
    ]


def test_stored_differences_name_the_families_that_are_not_exact():
    wrong = {
        name
        for name, proofs in measured_differences().items()
        for proof in proofs.values()
        if max(proof["masked"], proof["generated"], proof["batched"]) > 1e-6
    }
    assert wrong == {"qwen3_5", "lfm2_vl"}
    for proofs in measured_differences().values():
        assert {proof["handed_back"] for proof in proofs.values()} == {0.0}
