"""What the pages say of the bundled model on fresh scenes is what is stored."""

import json
from pathlib import Path

import pandas as pd
import pytest
from test_results_page import OFFICIAL

ROOT = Path(__file__).parents[2]
PAGE = " ".join((ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
METHODS = (ROOT / "docs" / "all-methods.md").read_text(encoding="utf-8")
SPLITS = json.loads((ROOT / "benchmarks" / "results" / "fresh_scenes.json").read_text())["splits"]


def table(split, study, name):
    stored = SPLITS[split][study][name]
    return pd.DataFrame(stored["rows"], columns=stored["columns"])


def shown(line, value, low="low", high="high", digits=2):
    return f"{line[value]:.{digits}f} [{line[low]:.{digits}f}, {line[high]:.{digits}f}]"


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ('"A photo" gives {} in testA and {} in testB', "photo"),
        ("an empty text {} and {} (over images", "empty"),
        ("the question's own words without an object {} and {}, an empty text", "instruction"),
    ],
)
def test_what_texts_without_an_object_give(words, mode):
    found = []
    for split in SPLITS:
        lines = table(split, "reversal", "ri").set_index(["control", "text_mode"])
        found.append(shown(lines.loc["no_text", mode], "ri"))
    assert words.format(*found) in PAGE
    if mode == "photo":
        assert f'"A photo" has an index of {found[0]} and {found[1]} (over images)' in README


def test_how_categories_differ():
    told = []
    for split in SPLITS:
        every = table(split, "reversal", "categories")
        own = every[(every["claim"] == "H1.sign") & (every["n"] >= 5)].set_index("category")["ri"]
        ends = [f"{own[name]:.2f} ({name})" for name in (own.idxmin(), own.idxmax())]
        told.append(f"{(own > 0).sum()} of {len(own)} in {split}, from {ends[0]} to {ends[1]}")
    assert f"the released index is above 0 in {told[0]}, and in {told[1]}." in PAGE
    falls = []
    for split in SPLITS:
        every = table(split, "mechanism", "categories")
        often = every[every["n"] >= 5]
        falls.append(f"in {(often['mean'] > 0).sum()} of {len(often)}")
    assert f"At the values it is lower {falls[0]} and {falls[1]}." in PAGE


def leads(split, holds):
    """Budgets at which each of both rankings is ahead of random tokens, by a rule on lines."""
    lines = table(split, "sweep", "comparisons")
    lines = lines[(lines["metric"] == "ciou") & (lines["reference"] == "random")]
    assert len(lines) == 28
    ahead = lines[(lines["low_categories"] > 0) & holds(lines)]
    return {
        method: ahead.loc[ahead["method"] == method, "budget"].tolist()
        for method in ("litelvlm", "value_path")
    }


def test_what_both_rankings_gain_over_random_tokens():
    adjusted = {split: leads(split, lambda lines: lines["p_holm"] <= 0.05) for split in SPLITS}
    assert adjusted == {
        "testA": {"litelvlm": [32, 16, 8], "value_path": [16, 8]},
        "testB": {"litelvlm": [16], "value_path": [16, 8]},
    }
    alone = {split: leads(split, lambda lines: lines["p_holm"] > 0.05) for split in SPLITS}
    assert alone == {
        "testA": {"litelvlm": [48], "value_path": [48, 32]},
        "testB": {"litelvlm": [8], "value_path": []},
    }
    assert (
        "both lead at 16 in both splits. `value_path` leads at 8 in both, too, and LiteLVLM at 32 "
        "and 8 in testA. Four further leads hold by themselves and are open after the adjustment: "
        "LiteLVLM at 48 and `value_path` at 48 and 32 in testA, and LiteLVLM at 8 in testB."
    ) in PAGE
    assert (
        "both beat random tokens at 16 of 144 in both splits, `value_path` at 8 in both, and "
        "LiteLVLM at 32 and 8 in testA."
    ) in README


def test_what_the_tokens_of_the_mask_alone_gain():
    found = {}
    for split in SPLITS:
        lines = table(split, "sweep", "comparisons")
        own = lines[(lines["metric"] == "ciou") & (lines["method"] == "mask_oracle")]
        found[split] = own[own["reference"] == "none"].set_index("budget")
        assert found[split].loc[48, "p_holm"] > 0.05
    line = found["testB"].loc[32]
    assert line["p_holm"] <= 0.05
    told = shown(line, "delta", "low_categories", "high_categories", 3)
    assert f"With 32 it is supported in testB: {told}." in PAGE


@pytest.mark.parametrize(
    ("words", "claim", "budget", "sign", "holm"),
    [
        (
            "at 48: {} in testA, which is open, and {} in testB, below them by itself",
            "official.random",
            48,
            1,
            (False, False),
        ),
        ("ahead in testA: {}.", "official.random", 8, 1, (True, False)),
        ("it scores {} more in testA (shown) and {} in", "official.order", 48, 1, (True, False)),
        (
            "it scores {} more in testA (shown) and {} in",
            "official.recovery",
            48,
            -1,
            (True, False),
        ),
        (
            "better** at 48: by {} in testA (shown) and {} in",
            "official.even",
            48,
            -1,
            (True, False),
        ),
        ("in both splits, by {} and {} (shown)", "official.rule", 16, 1, (True, True)),
        (
            "highest by {} at 48 (shown). In testB this is open: {}.",
            "official.direction",
            48,
            1,
            (True, False),
        ),
    ],
)
def test_what_carries_the_official_protocol(words, claim, budget, sign, holm):
    told, adjusted = [], []
    for split in SPLITS:
        line = table(split, "protocol", "official").set_index(["id", "budget"]).loc[(claim, budget)]
        ends = sorted((sign * line["low_categories"], sign * line["high_categories"]))
        told.append(f"{sign * line['delta']:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]")
        adjusted.append(line["p_holm"] <= 0.05)
    assert words.format(*told) in PAGE
    assert tuple(adjusted) == holm


def test_scores_of_the_official_protocol():
    part = (ROOT / "docs" / "results.md").read_text().partition("### On fresh scenes")[2]
    found = [
        table(split, "protocol", "protocols").set_index(["method", "budget"])["ciou"]
        for split in SPLITS
    ]
    none = [f"{lines['none', 144]:.3f}" for lines in found]
    assert "Unpruned: {} and {}.".format(*none) in part
    for label, method in OFFICIAL.items():
        (line,) = (line for line in part.splitlines() if line.startswith(f"| {label} |"))
        shown = [cell.strip() for cell in line.strip("|").split("|")[1:]]
        assert shown == [
            " / ".join(f"{lines[method, budget]:.3f}" for lines in found)
            for budget in (48, 32, 16, 8)
        ]


def read_in(split, method, budget):
    """Whether a method reads its text, after two looks, and what its line shows."""
    line = table(split, "second look", "reads_text").set_index(["method", "budget"])
    line = line.loc[(method, budget)]
    assert line["low"] <= -0.01 or line["high"] >= 0.01  # none is shown not to
    reads = bool(line["low"] > 0 and line["p_holm"] <= 0.0294)
    value = f"**{line['delta']:.2f}**" if reads else f"{line['delta']:.2f}"
    return reads, f"{value} [{line['low']:.2f}, {line['high']:.2f}]" + ", yes" * reads


def test_which_methods_read_the_text():
    cells = [(split, budget) for split in SPLITS for budget in (32, 16)]
    main, _, control = METHODS.partition("## Which methods read the text?")
    asked = sorted(set(table("testA", "second look", "reads_text")["method"]))
    assert len(asked) == 9
    for method in asked:
        found = {(split, budget): read_in(split, method, budget) for split, budget in cells}
        (line,) = (line for line in control.splitlines() if line.startswith(f"| `{method}` |"))
        assert line.split(" | ")[1:] == [
            f"{told} |" if at == cells[-1] else told for at, (_, told) in found.items()
        ]
        rows = [row for row in main.splitlines() if row.startswith(f"| `{method}` |")]
        if not rows:
            assert method.startswith("value_path")
            continue
        places = {split for (split, _), (reads, _) in found.items() if reads}
        words = "yes" if len(places) == 2 else "in testA" if places else "cannot tell"
        assert places in (set(), {"testA"}, {"testA", "testB"})
        assert rows[0].split(" | ")[2] == words
