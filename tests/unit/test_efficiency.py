"""Tables and figures of the bench from rows whose medians are known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from litelvlm.analysis.api import read_record
from litelvlm.analysis.runs.origin.provenance import MINIATURE
from litelvlm.analysis.studies import efficiency
from litelvlm.analysis.studies.efficiency import timing as efficiency_timing
from litelvlm.analysis.studies.efficiency.timing import (
    WrittenBytes,
    decode_time,
    median_ratio,
)
from litelvlm.figures import FIGURES
from litelvlm.figures.efficiency import (
    draw_arithmetic,
    draw_components,
    draw_front,
    prefill_ratios,
    timed_part,
)
from litelvlm.figures.saved import Saved


def tables_of(rows):
    return efficiency.make_tables(rows, efficiency.Config())


def claims_of(rows):
    return efficiency.make_claims(rows, efficiency.Config())


def timings(method, k, whole, llm, rounds=5):
    """Rows of one arm: times grow by 1 % per round, as on a machine that grows slow."""
    base = {"method": method, "k": k, "n_text": 1, "metric": "wall_ms", "unit": "ms"}
    rows = []
    for number in range(rounds):
        drift = 1 + number / 100
        rows.append(base | {"round": number, "component": "end_to_end", "value": whole * drift})
        rows.append(base | {"round": number, "component": "llm", "value": llm * drift})
        rows.append(
            base | {"round": number, "component": "sam_encoder", "value": (whole - llm) * drift}
        )
    macs = {
        "metric": "analytic_macs",
        "unit": "MAC",
        "component": "llm",
        "round": -1,
        "value": 10.0 * k,
    }
    return [*rows, base | macs]


@pytest.fixture
def rows():
    arms = [
        ("none", 144, 100, 60),
        ("litelvlm", 144, 102, 60),
        ("litelvlm", 48, 80, 30),
        ("litelvlm", 16, 50, 15),
    ]
    return pd.DataFrame([row for arm in arms for row in timings(*arm)])


def test_medians_and_ratios_are_those_of_the_rounds(rows):
    tables = tables_of(rows)
    times = tables["times"].set_index(["method", "k", "component"])
    # The median of 1.00, 1.01, 1.02, 1.03 and 1.04 is 1.02.
    assert times.loc[("none", 144, "llm"), "value"] == pytest.approx(60 * 1.02)
    assert times.loc[("none", 144, "llm"), "q25"] == pytest.approx(60 * 1.01)
    assert (times.n_runs == 5).all()
    ratios = tables["ratios"].set_index(["method", "k", "component"])
    # The drift is common to both sides, so that every resample of the rounds has the same ratio.
    assert ratios.loc[("litelvlm", 16, "end_to_end")][
        ["ratio", "low", "high"]
    ].tolist() == pytest.approx([2, 2, 2])
    assert ratios.loc[("litelvlm", 48, "llm"), "ratio"] == pytest.approx(2)
    assert "none" not in tables["ratios"].method.tolist()


def test_the_published_times_are_read_back_from_planted_rounds():
    whole, prefill = (340.89, 265.83, 237.35), (166.25, 74.88, 54.02)
    arms = zip(("none", "litelvlm", "litelvlm"), (576, 192, 64), whole, prefill, strict=True)
    tables = tables_of(pd.DataFrame([row for arm in arms for row in timings(*arm)]))
    times = tables["times"].set_index(["component", "k"])["value"]
    ratios = tables["ratios"].set_index(["component", "k"])["ratio"]
    for component, planted in (("end_to_end", whole), ("llm", prefill)):
        for k, value in zip((576, 192, 64), planted, strict=True):
            assert times[component, k] == pytest.approx(1.02 * value)
        for k, value in zip((192, 64), planted[1:], strict=True):
            assert ratios[component, k] == pytest.approx(planted[0] / value)


def test_break_even_is_the_largest_budget_that_is_faster(rows):
    table = tables_of(rows)["break_even"].set_index("method")
    # At 144 tokens the method costs 2 % more than it saves.
    assert table.loc["litelvlm", "k"] == 48
    slow = rows.assign(value=rows.value.where((rows.k == 144) | (rows["round"] < 0), 500.0))
    assert tables_of(slow)["break_even"].set_index("method").loc["litelvlm", "k"] == 0


def test_the_null_arm_is_equal_only_if_its_interval_holds_one(rows):
    null = tables_of(rows)["null"].set_index("component")
    # The drift is common, so that intervals have no width: 60 over 60, and 100 over 102.
    assert null.loc["llm", "equal"]
    assert null.loc["end_to_end", "ratio"] == pytest.approx(100 / 102)
    assert not null.loc["end_to_end", "equal"]
    said = efficiency.interpret([], tables_of(rows))
    # What chooses and then keeps everything is slower as a whole; the language model has the same
    # work.
    whole = (
        "whole call, which still chooses, "
        "differs beyond the interval from that of the unpruned model"
    )
    assert f"{whole} for 1 expression(s): 0.980" in said
    assert "prefill equals that of the unpruned model for 1 expression(s): 1.000" in said


def test_choosing_is_put_beside_the_image_tower(rows):
    base = {
        "method": "litelvlm",
        "k": 48,
        "n_text": 1,
        "metric": "wall_ms",
        "unit": "ms",
        "round": 0,
    }
    more = [
        base | {"component": part, "value": value}
        for part, value in (("selection", 1.0), ("clip_image", 80.0))
    ]
    tables = tables_of(pd.concat([rows, pd.DataFrame(more)], ignore_index=True))
    assert (
        "litelvlm, 48 tokens, 1 expression(s): choosing, the text tower included, "
        "takes 1.2% of the time"
    ) in efficiency.interpret([], tables)


def test_the_interval_of_a_ratio_widens_with_noise():
    rng = np.random.default_rng(0)
    steady, noisy = rng.normal(10, 0.1, 50), rng.normal(5, 1.0, 50)
    ratio, low, high = median_ratio(steady, noisy)
    assert low < ratio < high
    assert ratio == pytest.approx(2, abs=0.3)
    assert high - low > 5 * np.subtract(*median_ratio(steady, steady / 2)[:0:-1])


def test_written_bytes_count_new_tensors_once_and_views_not_at_all():
    x = torch.ones(10, 10)
    with WrittenBytes() as written:
        y = x + 1  # 400 bytes
        y.t().reshape(5, 20).view(100)  # a transposed reshape copies: 400 more; the view does not
        y.add_(1)  # in place
    assert written.total == 800


def test_a_generated_token_is_timed_without_the_prompt(monkeypatch):
    # The prompt and its first token take 5 s, each of the next three 2 s.
    clock = iter([5.0, 7.0, 9.0, 11.0])
    monkeypatch.setattr(efficiency_timing, "perf_counter", lambda: next(clock))
    stops = []
    found = decode_time(
        lambda stop: stops.extend(stop(token) for token in range(4)), torch.device("cpu")
    )
    assert found == 2000.0
    assert stops == [False] * 4
    with pytest.raises(ValueError, match="too few"):
        decode_time(lambda stop: None, torch.device("cpu"))


# --- figures --------------------------------------------------------------------------------------


def test_components_stack_to_the_sum_of_their_medians(rows):
    times = tables_of(rows)["times"]
    ax = draw_components(times, Figure().subplots())
    ends = {}
    for bar in ax.patches:
        place = round(bar.get_y() + bar.get_height() / 2)
        ends[place] = max(ends.get(place, 0), bar.get_x() + bar.get_width())
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert ends[labels.index("unpruned, 144")] == pytest.approx(100 * 1.02)
    assert ends[labels.index("LiteLVLM, 16")] == pytest.approx(50 * 1.02)


def test_arithmetic_puts_measured_against_expected(rows):
    tables = tables_of(rows)
    expected = prefill_ratios(tables["costs"]).set_index(["method", "k"]).expected
    assert expected["litelvlm", 48] == 3
    shown = (tables[name] for name in ("ratios", "costs", "published"))
    ax = draw_arithmetic(*shown, Figure().subplots())
    drawn = ax.containers[0].lines[0].get_xydata()
    assert drawn.tolist() == pytest.approx(np.array([[1, 1], [3, 2], [9, 4]]))
    (theirs,) = [line for line in ax.lines if line.get_label() == "LiteLVLM, published"]
    # 4.66 over 2.11 and 1.27 multiply-adds, 166.25 over 74.88 and 54.02 ms.
    printed = np.array([[4.66 / 2.11, 166.25 / 74.88], [4.66 / 1.27, 166.25 / 54.02]])
    assert theirs.get_xydata() == pytest.approx(printed)


SCORES = pd.DataFrame(
    [["litelvlm", "ciou", 0.7], ["litelvlm", "giou", 0.1], ["uniform", "ciou", 0.5]],
    columns=["method", "metric", "value"],
).assign(budget=48, low=0.0, high=0.8)


def test_the_front_joins_times_and_scores(rows):
    ax = draw_front(tables_of(rows)["times"], SCORES, Figure().subplots())
    (line,) = [container.lines[0] for container in ax.containers]
    assert line.get_xydata().tolist() == pytest.approx(np.array([[80 * 1.02, 0.7]]))


def test_the_front_takes_the_prefill_where_nothing_else_was_timed(rows):
    times = tables_of(rows)["times"]
    assert timed_part(times) == "end_to_end"
    alone = times[times["component"] != "end_to_end"]
    assert timed_part(alone) == "llm"
    assert "prefill" in draw_front(alone, SCORES, Figure().subplots()).get_xlabel()


@pytest.mark.parametrize(("family", "drawn"), [(MINIATURE, False), ("other", True)])
def test_the_front_is_drawn_of_full_size_models_alone(saved_runs, family, drawn):
    record = read_record(saved_runs["sweep"])
    record = record.model_copy(update={"model": record.model | {"family": family}})
    summary = SimpleNamespace(study="efficiency", tables={"times", "scores"})
    run = object.__new__(Saved)
    run.record, run.summary = record, summary
    obstacle = FIGURES["time_front"].obstacle(run)
    assert ("full-size models alone" in obstacle, obstacle == "") == (not drawn, drawn)
    assert FIGURES["time_components"].obstacle(run) == ""


def bench(k48=80.0, rounds=24, activations=(230.0, 100.0)):
    arms = [("none", 144, 100, 60), ("litelvlm", 48, k48, 30)]
    frame = pd.DataFrame([row for arm in arms for row in timings(*arm, rounds=rounds)])
    same = {"n_text": 1, "component": "llm", "round": -1, "unit": "B"}
    sizes = [
        same | {"method": method, "k": k, "metric": "activation_bytes", "value": value}
        for (method, k, _, _), value in zip(arms, activations, strict=True)
    ]
    return pd.concat([frame, pd.DataFrame(sizes)], ignore_index=True)


@pytest.mark.parametrize(("k48", "verdict"), [(70.0, "supported"), (85.0, "not supported")])
def test_the_published_fall_of_time_is_judged_over_rounds(k48, verdict):
    (time, _) = claims_of(bench(k48))
    assert time.estimate == pytest.approx(1 - k48 / 100)
    assert (time.verdict, time.null, time.sample) == (verdict, 0.22, "24 rounds")
    (few, _) = claims_of(bench(k48, rounds=5))
    assert few.verdict == "undetermined"


@pytest.mark.parametrize(("size", "verdict"), [(100.0, "supported"), (101.0, "not supported")])
def test_the_published_shrinking_of_activations_is_counted(size, verdict):
    (_, memory) = claims_of(bench(activations=(230.0, size)))
    assert (memory.estimate, memory.verdict) == (pytest.approx(230 / size), verdict)


def test_a_bench_without_a_third_of_the_tokens_claims_nothing(rows):
    assert claims_of(rows[rows["k"] != 48]) == []
    assert claims_of(rows.iloc[:0]) == []
