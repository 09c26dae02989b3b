"""The bench on the miniature.

Every component is counted, formula and counter agree, and nothing is measured twice.
"""

import pandas as pd
import pytest

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.cli import main
from litelvlm.analysis.runs.folder import add_table
from litelvlm.analysis.studies import efficiency
from litelvlm.analysis.studies.efficiency.prepare import arms_of
from tests.figure_files import write_figures
from tests.glamm_parts import full_prompt
from tests.tiny_unipixel import write_tiny
from tests.video_glamm_parts import write_folder

CONFIG = efficiency.Config(
    methods=("litelvlm", "fastv"), budgets=(48, 16), rounds=2, warm_up=0, n_texts=(2,)
)


@pytest.fixture(scope="module")
def folder(model, data, tmp_path_factory):
    return complete_run(efficiency.STUDY, model, data, CONFIG, tmp_path_factory.mktemp("bench"))


def test_formula_and_counter_agree_for_every_component(folder):
    costs = read_summary(folder).table("costs")
    wide = costs[costs.unit == "MAC"].pivot_table(
        index=["method", "k", "component"], columns="metric", values="value"
    )
    both = wide.dropna()
    assert set(both.index.get_level_values("component")) == {
        "clip_image",
        "clip_text",
        "projector",
        "llm",
        "sam_encoder",
        "mask_decoder",
    }
    plain = both.drop(index="fastv")
    assert plain.counted_macs.to_numpy() == pytest.approx(plain.analytic_macs.to_numpy(), rel=0.01)
    # A method inside the model also reads attention rows and keys before its drop, which the
    # formula leaves out.
    inside = both.loc["fastv"].loc[48].loc["llm"]
    assert 1 <= inside.counted_macs / inside.analytic_macs < 1.1


def test_every_arm_is_timed_in_every_round(folder):
    rows, record = read_rows(folder), read_record(folder)
    times = rows[(rows["round"] >= 0) & (rows.component == "end_to_end")]
    arms = {("none", 144), ("litelvlm", 144), ("litelvlm", 48), ("litelvlm", 16), ("fastv", 48)}
    assert set(zip(times.method, times.k, strict=True)) == arms
    assert (times.groupby(["method", "k"])["round"].apply(sorted).apply(tuple) == (0, 1)).all()
    assert (times.value > 0).all()
    assert [(entry.method, entry.budget) for entry in record.excluded] == [("fastv", 16)]
    assert record.state == "done"


def test_memory_shrinks_with_the_tokens(folder):
    costs = read_summary(folder).table("costs").set_index(["metric", "method", "k"]).value
    for metric in ("activation_bytes", "kv_bytes"):
        assert (
            costs[metric, "litelvlm", 16]
            < costs[metric, "litelvlm", 48]
            < costs[metric, "none", 144]
        )
    # Keys and values: 2 x 4 layers x 192 wide x 4 bytes for each of 144 visual and the other
    # tokens.
    assert costs["kv_bytes", "none", 144] % (2 * 4 * 192 * 4) == 0


def test_a_finished_bench_is_not_measured_again_and_is_drawn(model, data, folder, tmp_path):
    before = read_rows(folder)
    scores = pd.DataFrame(
        [
            {
                "method": "litelvlm",
                "budget": 48,
                "metric": "ciou",
                "value": 0.5,
                "low": 0.4,
                "high": 0.6,
            }
        ]
    )
    again = complete_run(efficiency.STUDY, model, data, CONFIG, folder.parent)
    add_table(again, "scores", scores)
    pd.testing.assert_frame_equal(read_rows(again), before)
    drawn = {picture.name for picture in write_figures("all", [again], tmp_path)}
    # What accuracy costs is drawn of full-size models alone.
    assert drawn == {"time_components", "time_arithmetic"}
    with pytest.raises(ValueError, match="full-size models alone"):
        write_figures("time_front", [again], tmp_path)


def test_prefill_alone_times_nothing_else(model, data, tmp_path):
    config = CONFIG.model_copy(
        update={"prefill_only": True, "rounds": 2, "methods": CONFIG.methods[:1]}
    )
    rows = read_rows(complete_run(efficiency.STUDY, model, data, config, tmp_path))
    assert set(rows[rows["round"] >= 0].component) == {"llm"}


def test_answer_tokens_are_timed_and_both_conventions_stand_in_the_costs(folder):
    summary = read_summary(folder)
    times = summary.table("times").set_index(["component", "method", "k"]).value
    assert {("litelvlm", 48), ("none", 144), ("fastv", 48)} <= set(times.loc["decode"].index)
    # One token against a prompt of some 200.
    assert times["decode", "none", 144] < times["llm", "none", 144]
    assert "answer tokens per second" in summary.interpretation
    costs = summary.table("costs").set_index(["component", "method", "k", "metric"]).value
    assert (
        costs["llm", "none", 144, "analytic_flops"]
        == 2 * costs["llm", "none", 144, "analytic_macs"]
    )
    assert (
        costs["llm", "none", 144, "counted_flops"] == 2 * costs["llm", "none", 144, "counted_macs"]
    )


@pytest.mark.parametrize(
    ("name", "entering"),
    [("fastv", 144), ("nuwa", 84), ("nuwa:stage1", 48), ("lvlm_csp_like", 144)],
)
def test_the_timed_prompt_holds_what_a_method_lets_into_the_language_model(
    model, data, name, entering
):
    config = efficiency.Config(methods=(name,), budgets=(48,))
    prompt = list(arms_of(model, data[0], config, (48,))[0].values())[-1]
    # Every token of the text stays; the placeholder is one of them.
    assert prompt.spliced.lengths == (
        len(model.tokenizer.encode(full_prompt(prompt.conversation))) - 1 + entering,
    )


def test_more_expressions_than_the_image_has_are_refused_before_anything_is_timed(
    model, data, tmp_path
):
    most = len(data[0].expressions)
    config = CONFIG.model_copy(update={"n_texts": (1, most + 1)})
    with pytest.raises(
        ValueError, match=f"asks for {most + 1} expressions, and the first image has {most}"
    ):
        complete_run(efficiency.STUDY, model, data, config, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"methods": ("litelvlm", "litelvlm")}, "methods occur twice: litelvlm"),
        ({"n_texts": (1, 2, 1)}, "n_texts holds a number twice: 1, 2, 1"),
        ({"methods": ("mask_oracle", "random")}, "true mask cannot be timed: mask_oracle; leave"),
        (
            {"methods": ("with_uniform(of=box_oracle)",)},
            "cannot be timed: with_uniform.of=box_oracle",
        ),
        ({"n_texts": ()}, "at least 1 item"),
    ],
)
def test_arms_that_cannot_be_timed_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        efficiency.Config(**fields)


def test_grounding_models_of_clips_are_refused_by_name(tmp_path, capsys):
    folders = {"UniPixel": write_tiny(tmp_path / "u"), "VideoGlamm": tmp_path / "v"}
    folders["VideoGlamm"].mkdir()
    write_folder(folders["VideoGlamm"])
    for name, place in folders.items():
        out = ["--out", str(tmp_path / "runs"), "--device", "cpu"]
        assert main(["bench", "--model", str(place), *out]) == 2
        said = capsys.readouterr().err
        assert f"needs a model whose calls can be timed, and {place} ({name})" in said
        assert "is not one; studies that can ask it: reversal" in said
