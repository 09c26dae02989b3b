"""Hypotheses of a YAML file: planted effects, the family, and files that are refused."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.api import SavedRun, read_record, read_summary
from litelvlm.analysis.cli import main
from litelvlm.analysis.cli.actions.bench import scores_of
from litelvlm.analysis.runs.hypotheses import HypothesisFamily, read_family
from litelvlm.analysis.stats.ends import INDEX
from litelvlm.analysis.studies.own_hypotheses import claim_of, difference, family_text, judge

DOCS = Path(__file__).parents[2] / "docs" / "own-hypotheses.md"


def rows(effect=0.0, n=240, seed=0):
    """One row per expression under two controls; small referents have more of the measure."""
    rng = np.random.default_rng(seed)
    keys = {
        "image_id": np.arange(n) // 3,
        "sent_id": np.arange(n),
        "category_id": rng.integers(1, 30, n),
        "area_frac": rng.uniform(0, 0.2, n),
    }
    frame = pd.DataFrame(keys)
    true = rng.normal(0.1, 0.1, n) + effect * (frame["area_frac"] < 0.05)
    other = true - 0.2 + rng.normal(0, 0.02, n)
    parts = [frame.assign(control="none", ri=true), frame.assign(control="N1", ri=other)]
    return pd.concat(parts, ignore_index=True)


def family(**changes):
    base = {
        "id": "size",
        "statement": "Small referents are more reversed.",
        "study": "reversal",
        "measure": "ri",
        "where": {"control": "none"},
        "groups": {"small": {"area_frac": {"max": 0.05}}, "large": {"area_frac": {"min": 0.0501}}},
    }
    return HypothesisFamily.model_validate({"family": "mine", "hypotheses": [base | changes]})


def only(made, frame):
    (claim,), table = judge(made, {"reversal": frame})
    return claim, table.iloc[0]


def test_a_planted_difference_of_groups_is_found_and_its_absence_is_not():
    claim, line = only(family(), rows(effect=0.3))
    assert claim.estimate == pytest.approx(0.3, abs=0.04)
    assert claim.verdict == line["verdict"] == "supported"
    assert np.isfinite(claim.low_categories)
    (of_clips,), _ = judge(family(), {"reversal": rows(effect=0.3)}, {"reversal": "clips"})
    assert of_clips.sample == claim.sample.replace("image", "clip")
    none, _ = only(family(), rows(effect=0.0))
    assert none.verdict == "undetermined"
    assert only(family(margin=0.1), rows(effect=0.0))[0].verdict == "not supported"


def test_a_group_of_few_categories_does_not_borrow_the_certainty_of_the_other():
    """201 expressions in three categories against 1000 in fifty, without a true difference."""
    rng, clear = np.random.default_rng(3), []
    for _ in range(100):
        categories = np.r_[rng.integers(0, 3, 201), rng.integers(3, 53, 1000)]
        values = rng.normal(0, 0.15, 53)[categories] + rng.normal(0, 0.1, 1201)
        frame = pd.DataFrame({"ri": values, "image_id": range(1201), "category_id": categories})
        _, crossed = difference(frame[:201], frame[201:], "ri", INDEX)
        assert crossed.value == pytest.approx(values[:201].mean() - values[201:].mean())
        assert crossed.n_categories == 3
        clear.append(crossed.p_value() <= 0.05)
    assert np.mean(clear) < 0.1


def test_groups_that_are_all_found_are_not_shown_to_be_alike():
    n = 40
    frame = pd.DataFrame({"hit": True, "image_id": range(2 * n), "category_id": range(2 * n)})
    result, crossed = difference(frame[:n], frame[n:], "hit", INDEX)
    assert result.p_equivalent(0.01)[0] == pytest.approx(0.99**n)
    away = 1 - 0.025 ** (1 / n)
    assert crossed.ends() == pytest.approx((-away, away))


def test_groups_of_the_same_expressions_are_paired():
    groups = {"true text": {"control": "none"}, "foreign text": {"control": ["N1"]}}
    claim, _ = only(family(where={}, groups=groups), rows())
    assert claim.estimate == pytest.approx(0.2, abs=0.005)
    # Paired: the spread of .1 between expressions cancels, and .02 / sqrt(240) is left.
    assert claim.high - claim.low < 0.008


def test_a_mean_is_judged_against_its_null_on_its_own_scale():
    claim, _ = only(family(groups={}, null=0.05), rows())
    assert (claim.estimate, claim.null) == (pytest.approx(0.1, abs=0.02), 0.05)
    assert claim.low > 0.05
    assert claim.verdict == "supported"
    assert only(family(groups={}, null=0.5), rows())[0].verdict == "not supported"


def test_without_an_effect_five_of_a_hundred_studies_reject():
    made = family().hypotheses[0]
    p = [claim_of(made, rows(seed=seed)).p_claimed for seed in range(200)]
    # One-sided at 5 %: 10 of 200 expected, 3 standard deviations are 9.
    assert 1 <= np.sum(np.array(p) <= 0.05) <= 19


def test_a_family_is_adjusted_over_all_its_members_tested_or_not():
    base = family().hypotheses[0]
    # The first of growing effects that is shown alone.
    found = ((claim_of(base, rows(effect)), rows(effect)) for effect in np.arange(0, 0.2, 0.004))
    claim, weak = next(pair for pair in found if pair[0].verdict == "supported")
    assert 0.005 < claim.p_claimed <= 0.025
    others = [base.model_copy(update={"id": f"x{k}", "study": "sink"}) for k in range(9)]
    many = HypothesisFamily(family="mine", hypotheses=(base, *others))
    _, table = judge(many, {"reversal": weak})
    assert table["p_holm"][0] == pytest.approx(min(1, 10 * claim.p_claimed))
    assert table["verdict"][0] == "undetermined"
    assert set(table["verdict"][1:]) == {"not tested"}
    told = family_text(many, table)
    assert "x0  NOT TESTED" in told
    assert "one-sided p-values adjusted together by Holm's method" in told
    assert f"adjusted one-sided p {10 * claim.p_claimed:.3g}: {base.statement}" in told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"measure": "rj"}, "'rj' is not a column of numbers"),
        ({"measure": "control"}, "'control' is not a column of numbers"),
        ({"where": {"layr": 1}}, "the column 'layr'"),
        ({"where": {"control": "N7"}, "groups": {}}, "no row with a value is left"),
        ({"where": {}, "groups": {}}, "where leaves 2 values of 'control' ('none', 'N1'), so that"),
        ({"measure": "sent_id"}, "'sent_id' numbers things"),
        ({"measure": "image_id"}, "'image_id' numbers things"),
        ({"where": {"control": {"min": 1}}}, "range of 'control', which holds texts: 'none'"),
    ],
)
def test_what_the_rows_cannot_answer_is_refused_with_a_reason(changes, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        judge(family(**changes), {"reversal": rows()})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("family: [", "is not a YAML file"),
        ("family: mine", "hypotheses"),
        ("family: mine\nhypotheses: [{id: a, statement: b, study: c, measure: d, nul: 1}]", "nul"),
        (
            "family: m\nhypotheses: [{id: a, statement: b, study: c, measure: d, groups: {x: {}}}]",
            "no group or two",
        ),
        (
            "family: m\nhypotheses:\n" + "- {id: a, statement: b, study: c, measure: d}\n" * 2,
            "ids occur twice: a",
        ),
    ],
)
def test_files_that_are_wrong_are_refused_with_the_place(tmp_path, text, words):
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(words)):
        read_family(tmp_path / "mine.yaml")


ONE = "id: a, statement: b, study: c, measure: d"
HOSTILE = {
    "aliases": b"a: &a [1]\nb: [*a, *a]\n",
    "depth": b"family: " + b"[" * 100_000,
    "depth of mappings": b"family: " + b"{a: " * 10_000,
    "a key twice": b"family: m\nfamily: n\nhypotheses: [{%s}]" % ONE.encode(),
    "a field twice": b"family: m\nhypotheses: [{%s, measure: e}]" % ONE.encode(),
    "an infinite margin": b"family: m\nhypotheses: [{%s, margin: .inf}]" % ONE.encode(),
    "a null that is no number": b"family: m\nhypotheses: [{%s, 'null': .nan}]" % ONE.encode(),
    "an empty range": b"family: m\nhypotheses: [{%s, where: {x: {min: 2, max: 1}}}]" % ONE.encode(),
    "Latin letters": "family: café".encode("latin-1"),
    "size": b"#" * 1_000_001,
    "a tag": b"family: !!python/object/apply:os.system [true]",
    "a control sign": b"family: \x07",
    "binary": b"\x00\xff\xfe",
    "nothing": b"",
    "a list": b"- a\n- b",
}


MEMBER = "family: m\nhypotheses: [{{id: a, statement: b, study: c, measure: d, {}}}]"
HOSTILE |= {
    text: MEMBER.format(text).encode()
    for text in (
        "null: true", "margin: yes", "null: 1:30:00", "where: {x: {min: true}}",
        "null: 2026-13-45", f"null: {'9' * 5000}", "where: {null: 1, ~: 2}",
        "where: {null: 1, 'null': 2}", "null: !!python/object:os.system x",
    )
}  # fmt: skip
HOSTILE |= {"no name": b"family: ' '\nhypotheses: [{id: a, statement: b, study: c, measure: d}]"}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=[name[:30] for name in HOSTILE])
def test_a_file_that_cannot_be_a_family_is_refused_by_its_name(content, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"mine\.yaml"):
        read_family(path)


def test_a_study_that_does_not_exist_is_refused_by_the_command(tmp_path, saved_runs, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("family: m\nhypotheses: [{id: a, statement: b, study: revesal, measure: ri}]")
    assert main(["show", str(saved_runs["reversal"]), "--hypotheses", str(path)]) == 2
    assert "study of hypothesis 'a': 'revesal'" in capsys.readouterr().err


def test_a_study_that_does_not_exist_is_refused_from_python_and_ones_own_is_not():
    made = family(study="revesal")
    with pytest.raises(ValueError, match=r"study of hypothesis .*'revesal'; did you mean"):
        judge(made, {"reversal": rows()})
    with pytest.raises(
        ValueError, match=r"twice in where, with other values of 'control', .*CONDIT"
    ):
        judge(made, {"revesal": rows()})
    own = rows().query("control == 'none'")
    (claim,), _ = judge(made, {"revesal": own})
    assert claim.estimate == judge(family(), {"reversal": rows()})[0][0].estimate


def test_the_examples_of_the_docs_are_read_and_name_columns_that_exist(tmp_path, saved_runs):
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    frames = {name: SavedRun(saved_runs[name]).rows for name in ("reversal", "sweep")}
    for number, block in enumerate(blocks):
        (tmp_path / f"{number}.yaml").write_text(block, encoding="utf-8")
        made = read_family(tmp_path / f"{number}.yaml")
        for one in made.hypotheses:
            compared = (*one.change.values(), *one.groups.values())
            wanted = {*one.where, *(name for part in compared for name in part)}
            assert {one.measure, *wanted} <= set(frames[one.study].columns)


def changed_record(run, to, **fields):
    """A copy of a run whose record says otherwise."""
    folder = shutil.copytree(run, to / run.name)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | fields))
    return folder


def test_hypotheses_are_not_judged_on_part_of_a_run(saved_runs, tmp_path, capsys):
    family = tmp_path / "mine.yaml"
    family.write_text(
        "family: mine\nhypotheses:\n- {id: low, statement: Ranked low., study: reversal, "
        "measure: ri, where: {probe: released, signal: similarity}}\n"
    )
    run = changed_record(saved_runs["reversal"], tmp_path, n_parts=10, parts_done=3)
    assert main(["show", str(run), "--hypotheses", str(family)]) == 2
    assert "is incomplete (3 of 10 parts); run its command again" in capsys.readouterr().err


def test_a_bench_takes_the_scores_of_its_own_model_alone(saved_runs, tmp_path):
    run = saved_runs["sweep"]
    assert scores_of(run).equals(read_summary(run).table("scores"))
    for other, words in (
        (saved_runs["reversal"], "is a run of 'reversal'; name a run of a sweep"),
        (changed_record(run, tmp_path, n_parts=9), r"is incomplete \(. of 9 parts\)"),
    ):
        with pytest.raises(ValueError, match=words):
            scores_of(other)
    record = read_record(run)
    record.require_made_with("model", record.model["digest"], run)
    with pytest.raises(ValueError, match=r"made with the model .*name the same one with --model"):
        record.require_made_with("model", "0" * 64, run)
