"""The tables of val on the page of results are those of the stored runs."""

import json
from pathlib import Path

import numpy as np
import pytest

from litelvlm.analysis.stats.ends import INDEX
from litelvlm.analysis.stats.trainings import t_estimate

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
STORED = json.loads((ROOT / "benchmarks" / "results" / "miniature_val.json").read_text())["runs"]
SINGLE = {
    "LiteLVLM (lowest similarity)": "litelvlm",
    "LiteLVLM, the paper's own rule (`litelvlm:paper`)": "litelvlm:paper",
    "highest similarity": "high_similarity",
    "random, mean of 5 seeds": "random",
    "uniform grid": "uniform",
    "average pooling": "avgpool",
    "oracle that knows the mask": "mask_oracle",
    "oracle that avoids the mask": "inverse_mask_oracle",
}
OFFICIAL = {
    "LiteLVLM as released": "litelvlm",
    "the same, but the *highest* similarities": "litelvlm(direction=highest)",
    "LiteLVLM, its tokens in raster order": "litelvlm(order=raster)",
    "LiteLVLM without context tokens (`overlap=refill`)": "litelvlm(overlap=refill)",
    "LiteLVLM, the paper's own rule (`litelvlm:paper`)": "litelvlm:paper",
    "largest value norms, no text at all": "value_norm",
    "uniform grid": "uniform",
    "random": "random",
}


def lines_under(heading):
    """Cells of the table below a heading, before the next one, by the first column."""
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n##")[0]
    lines = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
    return {first.strip(): [cell.strip() for cell in cells] for first, *cells in lines}


def cells(run, table, value, **chosen):
    """Score and interval of each method and budget, as the page writes them."""
    stored = STORED[run]["tables"][table]
    rows = [dict(zip(stored["columns"], row, strict=True)) for row in stored["rows"]]
    return {
        (row["method"], row["budget"]): f"{row[value]:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        for row in rows
        if all(row[name] == wanted for name, wanted in chosen.items())
    }


@pytest.mark.parametrize("label", SINGLE)
def test_scores_of_single_expressions(label):
    found = cells("sweep", "scores", "value")
    shown = lines_under("One expression per conversation (single protocol)")[label]
    assert shown == ["", *(found[SINGLE[label], budget] for budget in (48, 32, 16, 8))]


@pytest.mark.parametrize("label", OFFICIAL)
def test_scores_of_the_official_protocol(label):
    found = cells("protocol", "protocols", "ciou", protocol="official")
    shown = lines_under("Several expressions per conversation (official protocol)")[label]
    assert shown == ["", *(found[OFFICIAL[label], budget] for budget in (48, 32, 16, 8))]


@pytest.mark.parametrize("label", ["oracle that knows the mask", "oracle that avoids the mask"])
def test_oracles_of_the_official_protocol(label):
    found = cells("oracles", "scores", "value")
    shown = lines_under("Several expressions per conversation (official protocol)")[label]
    assert shown == ["", *(found[SINGLE[label], budget] for budget in (48, 32, 16, 8))]


def test_unpruned_scores():
    single = lines_under("One expression per conversation (single protocol)")["unpruned"][0]
    assert single.replace("*", "") == cells("sweep", "scores", "value")["none", 144]
    official = lines_under("Several expressions per conversation (official protocol)")["unpruned"]
    found = cells("protocol", "protocols", "ciou", protocol="official")
    assert official[0].replace("*", "") == found["none", 144]


TRAININGS = json.loads((ROOT / "benchmarks" / "results" / "mechanism_trainings.json").read_text())
CONTRASTS = {
    "index as released": "released.reversed",
    "index of the values, turned round": "value.forward",
    "released minus values, same text": "readout.turns",
    "CLIP Surgery, turned round": "surgery.forward",
    "ClearCLIP, turned round": "clear_clip.forward",
    "index of the last layer": "last_layer.reversed",
    "what the own text adds to the reversal": "released.reads_text",
    "what the own text adds to the values": "value.reads_text",
    "the values follow the text more": "value.reads_more",
    "the index falls when the mean of all text embeddings is projected out": "mean.carries",
    "it falls when [SOS] is hidden from [EOS]": "sos.needed",
    "it grows when [SOS] gets 0.68 of the attention": "sos.makes",
}


def line_over_trainings(label):
    """Cells of a line in the part about trainings, without the first."""
    part = PAGE.partition("### Over twelve trainings\n")[2].partition("\n### ")[0]
    (line,) = (line for line in part.splitlines() if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


@pytest.mark.parametrize("label", CONTRASTS)
def test_contrasts_over_trainings(label):
    claims, seeds = TRAININGS["claims"], TRAININGS["claims_over_seeds"]
    shown = line_over_trainings(label)
    id = CONTRASTS[label]
    for text, split in zip(shown[2:4], ("testA", "testB"), strict=True):
        one = claims[split][id]
        bold = "**" * (one["verdict"] == "supported")
        value = f"{bold}{one['estimate']:.2f}{bold}"
        assert text == f"{value} [{one['low']:.2f}, {one['high']:.2f}]"
    answers = ["yes" if id in found["confirmed"] else "no" for found in (claims, seeds)]
    assert shown[4] == " / ".join(answers)


READOUTS = {
    "layer that is pruned (as released)": "released",
    "last layer": "last_layer",
    "values of the last block": "value_path",
    "CLIP Surgery": "surgery",
    "ClearCLIP": "clear_clip",
}
TEXTS = ("question", "name", "foreign", "rest", "no_sos", "more_sos")


@pytest.mark.parametrize("label", READOUTS)
def test_cells_over_trainings(label):
    cells = TRAININGS["cells"]
    wanted = [
        " / ".join(f"{cells[split][f'{READOUTS[label]}/{text}']['mean']:.2f}" for split in cells)
        for text in TEXTS
    ]
    assert line_over_trainings(label) == wanted


def released(condition, split):
    """The index as released of the trainings of one condition."""
    return [
        one[split]["cells"]["released/question"]
        for name, one in TRAININGS["trainings"].items()
        if name.startswith(condition)
    ]


def test_what_the_page_says_of_single_trainings():
    part = PAGE.partition("### Over twelve trainings\n")[2].partition("\n### ")[0]
    said = " ".join(part.split())
    found = [one["found"]["mean"] for one in TRAININGS["trainings"].values()]
    assert f"in {min(found):.2f} to {max(found):.2f} of the pairs" in said
    for condition, words in (("", "from {} to {} in testA, and from {} to {} in testB"),
                             ("helper", "with helper, it is {} to {} and {} to {}")):  # fmt: skip
        splits = (released(condition, split) for split in ("testA", "testB"))
        ends = (f"{end(values):.2f}" for values in splits for end in (min, max))
        assert words.format(*ends) in said
    above = [sum(value > 0 for value in released("", split)) for split in ("testA", "testB")]
    assert above == [11, 9]
    assert "low in eleven where looks name the object, and in nine where a relation does" in said
    cells = TRAININGS["cells"]
    for readout in ("identity_attention", "sclip"):
        means = (cells[split][f"{readout}/question"] for split in cells)
        one, other = (f"{m['mean']:.2f} [{m['low']:.2f}, {m['high']:.2f}]" for m in means)
        assert f"({one} and {other})" in said
    means = (t_estimate(np.array(released("helper", split)), INDEX) for split in cells)
    one, other = (f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}]" for mean in means)
    assert f"on average {one} and {other} (exploratory; t over six)" in said


def test_what_the_values_do_with_the_bare_name():
    stored = json.loads((ROOT / "benchmarks/results/fresh_scenes.json").read_text())["splits"]
    found = []
    for split in ("testA", "testB"):
        table = stored[split]["mechanism"]["crossing"]
        lines = (dict(zip(table["columns"], row, strict=True)) for row in table["rows"])
        (one,) = (
            line
            for line in lines
            if (line["clip_model"], line["readout"], line["text"]) == ("", "value_path", "name")
        )
        ends = (one["low_categories"], one["high_categories"])
        found.append(f"{one['mean']:.2f} [{ends[0]:.2f}, {ends[1]:.2f}]")
    assert f"{found[0]} in testA and {found[1]} in testB" in " ".join(PAGE.split())
    assert f"rank the object low too: {found[0]} and {found[1]}." in " ".join(README.split())


def interval(mean):
    return f"{mean['mean']:.2f} [{mean['low']:.2f}, {mean['high']:.2f}]"


def test_what_each_recipe_gives():
    means, shown = TRAININGS["contrasts"], {}
    for condition in ("helper", "plain"):
        found = (interval(means[split][condition]["value.reads_more"]) for split in means)
        shown[condition] = " and ".join(found)
    with_it, without = shown["helper"], shown["plain"]
    assert f"With the helper it is {with_it}, without it {without}" in " ".join(PAGE.split())


def test_what_readouts_do_with_the_bare_name_over_seeds():
    cells, said = TRAININGS["cells"], " ".join(PAGE.split())
    for words, readout in (
        ("their index is {} and {}, from", "value_path"),
        ("That of CLIP Surgery is {} and {}.", "surgery"),
        ("ClearCLIP keeps its direction ({} and {})", "clear_clip"),
        ("so does the released readout ({} and {})", "released"),
    ):
        shown = (interval(cells[split][f"{readout}/name"]) for split in ("testA", "testB"))
        assert words.format(*shown) in said
    falls = []
    for split in ("testA", "testB"):
        found = {name: one[split]["cells"] for name, one in TRAININGS["trainings"].items()}
        fall = {name: one["released/name"] - one["value_path/name"] for name, one in found.items()}
        of_seeds = [(fall[f"plain-{seed}"] + fall[f"helper-{seed}"]) / 2 for seed in range(2, 8)]
        mean = t_estimate(np.array(of_seeds))
        falls.append(f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}]")
    told = "{} and {}".format(*falls)
    assert f"between released and values is open: {told}." in said


def test_the_readout_without_mixing():
    stored = json.loads((ROOT / "benchmarks/results/fresh_scenes.json").read_text())["splits"]
    label = "| last layer, its attention replaced by the identity |"
    (line,) = (line for line in PAGE.splitlines() if line.startswith(label))
    shown = []
    for split in ("testA", "testB"):
        table = stored[split]["mechanism"]["crossing"]
        for row in table["rows"]:
            one = dict(zip(table["columns"], row, strict=True))
            if (one["clip_model"], one["readout"]) == ("", "identity_attention"):
                ends = f"[{one['low_categories']:.2f}, {one['high_categories']:.2f}]"
                if one["text"] in ("question", "foreign"):
                    shown.append(f" {one['mean']:.2f} {ends} ")
    assert line.strip("|").split("|")[1:] == shown


def test_what_the_helper_takes_of_the_text():
    said = " ".join(PAGE.split())
    for split, words in (("testA", "within a seed {}"), ("testB", "and {} less")):
        ours, others = (
            np.array([
                one[split]["contrasts"]["released.reads_text"]
                for name, one in TRAININGS["trainings"].items()
                if name.startswith(condition)
            ])
            for condition in ("plain", "helper")
        )  # fmt: skip
        mean = t_estimate(ours - others)
        assert words.format(f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}]") in said


def test_the_lead_by_quarters_of_the_index():
    stored, said = STORED["protocol"]["tables"]["gain"], " ".join(PAGE.split())
    for row in stored["rows"]:
        one = dict(zip(stored["columns"], row, strict=True))
        if one["method"] != "litelvlm" or one["budget"] != 48 or "quarter" not in one["quarter"]:
            continue
        sign = 1 if one["quarter"] == "highest quarter" else -1
        ends = sorted((sign * one["low_categories"], sign * one["high_categories"]))
        words = f"(mean {one['ri']:.2f}) {'it' if sign > 0 else 'LiteLVLM'} scores "
        assert f"{words}{sign * one['delta']:.2f} [{ends[0]:.2f}, {ends[1]:.2f}]" in said


MINIATURES = json.loads((ROOT / "benchmarks/results/miniature_trainings.json").read_text())
DIFFERENCES = {
    "LiteLVLM minus random tokens": "lowest.random",
    "LiteLVLM minus the highest similarity": "lowest.highest",
    "LiteLVLM minus an even grid": "lowest.grid",
    "`value_path` minus random tokens": "value.random",
    "`value_path` minus LiteLVLM": "value.lowest",
    "`value_path` minus an even grid": "value.grid",
    "`value_path_grid` minus an even grid": "mixed.grid",
}


@pytest.mark.parametrize("label", DIFFERENCES)
def test_differences_over_complete_miniatures(label):
    part = PAGE.partition("### Over complete miniatures\n")[2].partition("\n### ")[0]
    (line,) = (line for line in part.splitlines() if line.startswith(f"| {label} |"))
    trainings = MINIATURES["trainings"].values()
    wanted = [
        " / ".join(
            f"{one[split][protocol]['contrasts'][DIFFERENCES[label]]:.2f}" for one in trainings
        )
        for protocol in ("single", "official")
        for split in ("testA", "testB")
    ]
    assert [cell.strip() for cell in line.strip("|").split("|")[1:]] == wanted
    assert ("claims" in MINIATURES) == (len(trainings) == 6)
    numbers = {3: "Three", 4: "Four", 5: "Five"}
    assert len(trainings) == 6 or f"{numbers[len(trainings)]} of six are trained" in part


def test_the_reversal_of_the_clips_of_complete_miniatures():
    part = " ".join(PAGE.partition("### Over complete miniatures\n")[2].split())
    for split in ("testA", "testB"):
        *first, last = (
            f"{TRAININGS['trainings'][f'helper-{seed}'][split]['cells']['released/question']:.2f}"
            for seed in MINIATURES["trainings"]
        )
        assert f"{', '.join(first)} and {last} in {split}" in part
