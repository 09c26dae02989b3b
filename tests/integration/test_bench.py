"""The bench on the miniature.

Every component is counted, formula and counter agree, and nothing is measured twice.
"""

import pandas as pd
import pytest
import torch

from litelvlm import get_pruner
from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.cli import main
from litelvlm.analysis.runs.folder import add_table
from litelvlm.analysis.studies import efficiency
from litelvlm.analysis.studies.efficiency.prepare import arms_of
from litelvlm.analysis.studies.efficiency.timing import counted_macs
from litelvlm.figures import FIGURES
from litelvlm.figures.saved import Saved
from tests.figure_files import write_figures
from tests.glamm_parts import full_prompt
from tests.tiny_unipixel import load_tiny, write_tiny
from tests.unit import clip_tree as tree
from tests.video_glamm_parts import clip_frames, load, write_folder

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


def counted(call):
    """Multiply-adds by formula, and by torch's counter."""
    with torch.inference_mode():
        return dict(call.macs()), counted_macs({"llm": call.prefill, **call.parts()})


@pytest.mark.parametrize(
    ("point", "kept", "read"),
    [("V1", 32, 104), ("V1", 128, 104), ("V2", 128, 160), ("V3", 32, 64), ("V5", 32, 48)],
)
def test_a_clip_through_video_glamm_costs_what_its_tokens_cost(tmp_path, point, kept, read):
    model = load(write_folder(tmp_path), prune_point=point, masks="framewise")
    whole = model.timed_call(clip_frames(), ["the dog"], None, model.clip_layout.n_tokens)
    call = model.timed_call(clip_frames(), ["the dog"], get_pruner("uniform"), kept)
    assert (whole.n_read, call.n_read, whole.n_other) == (104, read, call.n_other)
    assert set(call.layer_counts) == {read}
    macs, found = counted(call)
    assert set(found) == {"llm", "clip_image", "video_tower", "projector", "sam2", "selection"}
    assert macs == {name: found[name] for name in ("llm", "clip_image", "video_tower")}
    # The prompt alone changes: towers and SAM2 have the same work, all frames of it.
    unpruned, found_whole = counted(whole)
    assert {name: unpruned[name] == macs[name] for name in macs} == {
        "llm": point == "V1", "clip_image": True, "video_tower": True,
    }  # fmt: skip
    assert found["sam2"] == found_whole["sam2"]
    image, seen = counted(model.timed_call(clip_frames(1), ["a"], None, 36))
    assert seen["clip_image"] * 6 == found["clip_image"]  # two of eight frames are repeated
    assert seen["sam2"] * 6 == pytest.approx(found["sam2"], rel=1e-3)
    assert "video_tower" not in image.keys() | seen.keys()


def test_a_clip_through_unipixel_costs_what_its_tokens_cost(tmp_path):
    model = load_tiny(write_tiny(tmp_path))
    n_tokens = model.clip_view(90, 120, 6).n_tokens
    whole = model.timed_call(clip_frames(), ["a dog", "a cat"], None, n_tokens)
    call = model.timed_call(clip_frames(), ["a dog", "a cat"], get_pruner("divprune"), 30)
    assert (whole.n_read, call.n_read, whole.n_other) == (n_tokens, 30, call.n_other)
    macs, found = counted(call)
    assert set(found) == {"llm", "vision", "sam2", "selection"}
    assert macs == {"llm": found["llm"]}
    assert {name: counted(whole)[1][name] for name in ("vision", "sam2")} == {
        name: found[name] for name in ("vision", "sam2")
    }


@pytest.mark.parametrize("family", ["video_glamm", "unipixel"])
def test_the_bench_times_a_clip_of_the_data(tmp_path, capsys, family):
    tree.davis(tmp_path / "davis")
    (tmp_path / family).mkdir()
    made = (write_folder if family == "video_glamm" else write_tiny)(tmp_path / family)
    options = ["--options", "num_frames=8"] if family == "video_glamm" else []
    data = ["--data", str(tmp_path / "davis"), "--dataset", "ref-davis17", "--split", "valid"]
    short = ["--rounds", "2", "--warm-up", "0", "--decoded", "2", "--methods", "divprune", "fastv"]
    where = ["--budgets", "0.25", "--out", str(tmp_path / "runs"), "--device", "cpu"]
    assert main(["bench", "--model", str(made), *options, *data, *short, *where]) == 0
    said = capsys.readouterr().out
    assert "divprune, " in said
    assert "left out: fastv@" in said
    (run,) = (tmp_path / "runs").iterdir()
    times = read_summary(run).table("times")
    tower = {"clip_image", "projector", "video_tower"} if family == "video_glamm" else {"vision"}
    assert set(times["component"]) == tower | {
        *("preprocess", "selection", "llm", "sam2", "decode", "end_to_end"),
    }
    costs = read_summary(run).table("costs").set_index(["component", "metric", "method"])["value"]
    for metric in ("visual_tokens", "activation_bytes", "kv_bytes", "analytic_macs"):
        assert costs["llm", metric, "divprune"] < costs["llm", metric, "none"]
    figure = FIGURES["time_components"].drawn(Saved(run)).figure
    shown = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    assert shown >= {name.replace("_", " ") for name in (*tower, "sam2")}


def test_a_clip_is_refused_by_a_model_that_reads_images(model):
    with pytest.raises(ValueError, match="reads images, and the clip has 2 frames"):
        model.timed_call(clip_frames(2), ["the dog"], None, 144)
