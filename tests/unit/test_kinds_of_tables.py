"""A table of a new kind is one object: plan, run and notes take every answer from it."""

from dataclasses import replace
from types import MappingProxyType, SimpleNamespace

import pandas as pd
import pytest
from planted import planted_data

from litelvlm.analysis.cli import main
from litelvlm.analysis.cli.verbs.reproduce import Reproduce
from litelvlm.analysis.cli.work.reproduce import check_files, settings_of
from litelvlm.analysis.inputs.balanced import BalancedSubset
from litelvlm.analysis.reproduce import run, targets
from litelvlm.analysis.reproduce.device import Device
from litelvlm.analysis.reproduce.kinds.accuracy import ACCURACY
from litelvlm.analysis.reproduce.kinds.kind import FinishedSplit, Kind, splits_in_words
from litelvlm.analysis.reproduce.place import Workplace
from litelvlm.analysis.reproduce.plan import plan_text
from litelvlm.analysis.reproduce.targets import TARGETS, Target
from litelvlm.analysis.reproduce.text import notes
from litelvlm.analysis.reproduce.work import Workload

ANSWERS = Kind(
    study="understanding",
    options=lambda settings: {"task": "pope", "draws": settings.draws},
    lines=lambda split: (),
    work=lambda settings, sizes: Workload(7, 3, 9e15),
    sentence=lambda settings, work: f"{work.images} questions of {splits_in_words(settings)}",
    interval="It counts questions.",
    controls=("uniform",),
)


@pytest.fixture
def planted(monkeypatch):
    """Add a table of a kind of its own, beside those that are there."""

    def plant(kind):
        table = Target(
            "planted", "Answers", kind, (("refcoco", "val"),), ("litelvlm",), (192,), 3, (2, 1),
            "Beware.",
        )  # fmt: skip
        monkeypatch.setattr(targets, "TARGETS", MappingProxyType({**TARGETS, table.name: table}))
        return settings_of(Reproduce(table="planted", quick=True, model="embedded"))

    return plant


def test_a_planted_kind_answers_for_the_plan_and_the_notes(planted):
    asked = planted(ANSWERS)
    assert asked.methods == ("litelvlm", "uniform")
    text = plan_text(asked, None, (), Device("cpu", "a machine", 10**9, 1e12))
    assert "Table planted: Answers\n" in text
    assert "Run: 7 questions of refcoco/val\n" in text
    assert "(9.0 P multiply-adds)" in text
    assert notes(asked, run.Reproduction()) == ["Beware.", "It counts questions."]


def test_a_planted_kind_decides_what_is_refused(planted, tmp_path):
    cached = Reproduce(table="planted", cache=tmp_path / "states")
    check_files(cached, planted(ANSWERS))
    with pytest.raises(ValueError, match="planted times how images are encoded"):
        check_files(cached, planted(replace(ANSWERS, times_encoding=True)))
    carded = Reproduce(table="planted", card=tmp_path / "card.json")
    with pytest.raises(
        ValueError, match="--card works with the tables refseg, not with planted; leave --card out"
    ):
        check_files(carded, planted(ANSWERS))
    check_files(carded, planted(replace(ANSWERS, has_scores=True)))


@pytest.mark.parametrize("takes_part", [True, False])
def test_a_planted_kind_decides_what_is_run(planted, monkeypatch, tmp_path, takes_part):
    data, called, seen = planted_data(6), [], []
    data.n_expressions, data.count_note = 6, ""
    model = SimpleNamespace(n_tokens=144)
    rows = pd.DataFrame({"image_id": [1, 1, 2], "union_px": [3, 3, 2]})

    def run_study(study, model, data, out, **options):
        called.append((study, data, options))
        return SimpleNamespace(rows=rows)

    monkeypatch.setattr(run, "open_split", lambda *args: data)
    monkeypatch.setattr(run, "open_model", lambda *args: model)
    monkeypatch.setattr(run, "run_study", run_study)
    kind = replace(
        ANSWERS, lines=lambda split: tuple(seen.append(split) or ()), takes_part=takes_part
    )
    (found,) = run.measure(planted(kind), Workplace(tmp_path), None).splits
    ((study, part, options),), (split,) = called, seen
    assert study == "understanding"
    own = {name: options[name] for name in ("task", "draws", "budgets", "seed")}
    assert own == {"task": "pope", "draws": 1, "budgets": (48,), "seed": 0}
    assert (split.name, split.n_tokens, split.data) == ("refcoco/val", 144, data)
    if takes_part:
        assert isinstance(part, BalancedSubset)
        assert len(part) == 2
        assert split.part is part
        assert found.part.endswith("the heaviest image holds 75% of the pixels counted")
    else:
        assert part is data
        assert split.part is None
        assert found.part == ""


@pytest.mark.parametrize(
    ("family", "name", "note", "comparable"),
    [
        ("full", "refcoco", "", True),
        ("miniature", "refcoco", "", False),
        ("full", "refcoco+", "", False),
        ("full", "refcoco", "images are missing", False),
    ],
)
def test_accuracy_is_compared_only_on_the_published_model_and_split(family, name, note, comparable):
    rows = pd.DataFrame(
        {"image_id": image, "seed": seed, "method": "litelvlm", "budget": 64,
         "inter_px": 745 + (image + seed) % 3, "union_px": 1000}
        for image in range(40)
        for seed in range(2)
    )  # fmt: skip
    record = SimpleNamespace(study="sweep", model={"family": family})

    class Data(list):
        count_note = note

    data = Data(range(40))
    data.name = name
    finished = SimpleNamespace(rows=rows, record=record)
    line, *others = ACCURACY.lines(FinishedSplit(finished, ("refcoco", "testA"), 576, data, None))
    assert line.method == "litelvlm"
    assert (line.verdict != "not comparable") is comparable
    assert {other.verdict for other in others} == {"not measured"}


def test_the_help_names_every_table(capsys):
    with pytest.raises(SystemExit):
        main(["reproduce", "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "refseg, ablation or efficiency." in said
    assert [*TARGETS] == ["refseg", "ablation", "efficiency"]
