"""Reproduction without a hub: what is asked for, how it is compared, and what is said."""

import io
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from litelvlm.analysis.cli import main
from litelvlm.analysis.reproduce import plan
from litelvlm.analysis.reproduce.accuracy import accuracy_lines, published_ciou
from litelvlm.analysis.reproduce.assets import CHECKPOINT, DATA, wanted_files
from litelvlm.analysis.reproduce.costs import cost_lines
from litelvlm.analysis.reproduce.lines import FinishedSplit, budget_of, published_tokens
from litelvlm.analysis.reproduce.listing import HubFile, Listing, Repository
from litelvlm.analysis.reproduce.place import Workplace, rooms
from litelvlm.analysis.reproduce.plan import cached_bytes, plan_text
from litelvlm.analysis.reproduce.sampling import SplitPixels, average_against_one_run
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.targets import TARGETS, parse_splits
from litelvlm.analysis.studies import published


@pytest.fixture
def gpu(monkeypatch):
    """A large GPU, with so much memory as the test says."""

    def see(memory=80 * 10**9):
        monkeypatch.setattr(plan, "see_device", lambda wanted: ("cuda", "A large GPU", memory))

    see()
    return see


def settings(**changes):
    asked = {
        "table": "refseg", "splits": (("refcoco", "testA"),), "methods": ("litelvlm", "random"),
        "tokens": (192, 64), "draws": 2,
    }  # fmt: skip
    return Settings(**asked | changes)


def against_one_run(inter, union, n_whole):
    return average_against_one_run([SplitPixels(inter, union, n_whole)])


def population(n, draws, seed, noise=0.15):
    """Pixels of images whose expressions are drawn: [images, draws] each."""
    rng = np.random.default_rng(seed)
    union = rng.integers(500, 5000, n)[:, None] * np.ones((1, draws))
    share = rng.beta(6, 2, n)[:, None] + rng.normal(0, noise, (n, draws))
    return np.clip(share, 0, 1) * union, union


@pytest.mark.parametrize(("n", "draws"), [(100, 2), (400, 5), (100, 1)])
def test_the_interval_holds_one_official_run_about_as_often_as_it_says(n, draws):
    """Coverage on planted images: another draw over the whole split, and images at random."""
    whole, held, trials = 400, 0, 400
    for trial in range(trials):
        inter, union = population(whole, draws + 1, trial)
        official = inter[:, 0].sum() / union[:, 0].sum()
        chosen = np.random.default_rng(10_000 + trial).choice(whole, n, replace=False)
        spread = against_one_run(inter[chosen, 1:], union[chosen, 1:], whole)
        held += abs(spread.ciou - official) <= 1.96 * spread.error
    assert (0.92 if draws > 1 else 0.94) <= held / trials <= (0.98 if draws > 1 else 1.0)


def test_more_images_and_draws_narrow_the_interval_and_one_image_has_none():
    errors = [
        against_one_run(*population(n, draws, 0), 800).error
        for n, draws in ((50, 2), (200, 2), (800, 2), (800, 20))
    ]
    assert errors == sorted(errors, reverse=True)
    assert math.isnan(against_one_run(*population(1, 2, 0), 800).error)
    inter, union = population(30, 3, 0, noise=0.0)
    # Without any noise of draws the whole split has nothing but the rounding of the print.
    assert against_one_run(inter, union, 30).error == pytest.approx(0.001 / math.sqrt(12))


class Data(list):
    """So many images of a data set."""

    def __init__(self, n, name="refcoco", note=""):
        super().__init__(range(n))
        self.name, self.count_note = name, note


def finished(rows=None, n_whole=750, *, place=("refcoco", "testA"), data=None, tables=None,
             family="full", device="cpu"):  # fmt: skip
    """A finished split of planted rows or tables."""
    record = SimpleNamespace(study="sweep", model={"family": family, "device": device})
    summary = SimpleNamespace(table=(tables or {}).get)
    run = SimpleNamespace(rows=rows, record=record, summary=summary)
    return FinishedSplit(place, run, 576, data or Data(n_whole, place[0]))


def rows(n_images, score, method="litelvlm", budget=64, draws=2):
    found = []
    for image in range(n_images):
        for seed in range(draws):
            wobble = 4 * ((image + seed) % 3 - 1)
            found.append(
                {"image_id": image, "sent_id": image, "seed": seed, "method": method,
                 "budget": budget, "inter_px": round(10 * score) + wobble, "union_px": 1000}
            )  # fmt: skip
    return pd.DataFrame(found)


@pytest.mark.parametrize(
    ("score", "n_images", "comparable", "verdict"),
    [
        (74.5, 750, True, "agrees"),
        (74.9, 750, True, "agrees"),
        (70.0, 750, True, "differs"),
        (74.5, 12, True, "undetermined"),
        (74.5, 750, False, "not comparable"),
    ],
)
def test_verdicts_of_accuracy(score, n_images, comparable, verdict):
    family = "full" if comparable else "miniature"
    line, *others = accuracy_lines(finished(rows(n_images, score), family=family))
    assert {other.verdict for other in others} == {"not measured"}
    assert (line.published, line.label, line.tokens) == (74.5, "LiteLVLM", 64)
    assert line.verdict == verdict
    assert line.difference == pytest.approx(line.measured - 74.5)
    assert line.low < line.difference < line.high


@pytest.mark.parametrize(
    ("family", "name", "note"),
    [
        ("miniature", "refcoco", ""),
        ("full", "refcoco+", ""),
        ("full", "refcoco", "images are missing"),
    ],
)
def test_accuracy_is_compared_only_on_the_published_model_and_split(family, name, note):
    split = finished(rows(40, 74.5), data=Data(40, name, note), family=family)
    assert accuracy_lines(split)[0].verdict == "not comparable"
    assert accuracy_lines(finished(rows(40, 74.5), 40))[0].verdict != "not comparable"


def test_a_method_without_a_published_number_gets_no_verdict():
    line, *_ = accuracy_lines(finished(rows(100, 50.0, "random"), 100))
    assert (line.verdict, line.label) == ("no published number", "")
    assert math.isnan(line.published)
    assert math.isfinite(line.measured)


def test_every_published_number_finds_its_place():
    for place, column in zip(published.SPLITS, range(8), strict=True):
        known = published_ciou(place)
        assert known["none", 576] == ("unpruned", published.UNPRUNED[column])
        assert known["litelvlm", 64][1] == published.ACCURACY["LiteLVLM", 64][column]
        assert len(known) == len(published.ACCURACY) + 1
    for tokens in (576, 192, 128, 64):
        for n_tokens in (576, 144):
            assert published_tokens(budget_of(tokens, n_tokens), n_tokens) == tokens
    assert {t for _, t in published.ACCURACY} == set(TARGETS["refseg"].tokens)


def costs(ratio, rounds=20):
    """Tables of a bench on the full size: everything `ratio` times cheaper at 192 tokens."""
    times = [
        {"method": "litelvlm", "k": k, "n_text": 1, "component": part, "metric": "wall_ms",
         "ratio": ratio, "low": 0.99 * ratio, "high": 1.01 * ratio, "n_runs": rounds}
        for k in (576, 192)
        for part in ("llm", "end_to_end")
    ]  # fmt: skip
    counts = [
        {"method": method, "k": k, "n_text": 1, "component": "llm", "metric": metric, "value": v}
        for metric in ("analytic_macs", "activation_bytes")
        for method, k, v in (("none", 576, 100.0), ("litelvlm", 192, 100 / ratio))
    ]
    return {"ratios": pd.DataFrame(times), "costs": pd.DataFrame(counts)}


def test_costs_are_compared_as_ratios_to_the_unpruned_model():
    on_gpu = finished(tables=costs(2.2), device="cuda")
    lines = {line.quantity: line for line in cost_lines(on_gpu)}
    assert {line.tokens for line in lines.values()} == {192}
    assert lines["multiply-adds (T)"].published == pytest.approx(4.66 / 2.11)
    assert lines["multiply-adds (T)"].verdict == "agrees"
    assert lines["prefill time (ms)"].verdict == "agrees"  # 166.25 / 74.88 = 2.22
    assert lines["CUDA time (ms)"].verdict == "differs"  # 340.89 / 265.83 = 1.28
    assert lines["stored activations (GB)"].published == pytest.approx(0.81 / 0.35)
    on_cpu = {one.quantity: one.verdict for one in cost_lines(finished(tables=costs(2.2)))}
    assert on_cpu["multiply-adds (T)"] == "agrees"
    assert on_cpu["prefill time (ms)"] == "not comparable"
    small = cost_lines(finished(tables=costs(2.2), device="cuda", family="miniature"))
    assert {line.verdict for line in small} == {"not comparable"}


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        # 750 images, each encoded once, with 2 x (1 + 2 x 2) passes.
        ("refseg", {}, "750 images (whole splits), about 10 passes"),
        ("refseg", {}, "  about 12 minutes for the published model, at the speed of the authors"),
        ("refseg", {"images": 75}, "  about 1 minute for the published model"),
        ("refseg", {"draws": 20_000}, "  about 1,563 hours for the published"),
        ("refseg", {"images": 40}, "40 images (at most 40 a split), about 10 passes"),
        ("efficiency", {"methods": ("litelvlm",)}, "1 image, about 216 passes"),
        ("refseg", {"model": "embedded"}, "  no time is known for embedded on such a device"),
    ],
)
def test_a_plan_says_what_is_run_and_how_long_that_takes(name, changes, said):
    assert said in plan_text(settings(table=name).model_copy(update=changes), None, ())


def test_files_that_are_needed():
    both = ["a/x.json", "config.json", "model.safetensors", "pytorch_model.bin", "README.md",
            "pytorch_model.bin.index.json", "tokenizer.model", "tf_model.h5"]  # fmt: skip
    assert wanted_files(CHECKPOINT, both, ()) == (
        "config.json",
        "model.safetensors",
        "tokenizer.model",
    )
    tables = ["data/testA-00000-of-00001.parquet", "data/test-0-of-1.parquet", "testB.parquet",
              "default/testA-0.parquet", "data/validation-0-of-1.parquet"]  # fmt: skip
    assert wanted_files(DATA["refcoco"], tables, ["testA", "val"]) == (tables[0], tables[4])


def listing(licence="apache-2.0"):
    files = (HubFile(path="config.json", size=10**9, blob="0" * 40),)
    repository = Repository(
        role="checkpoint", kind="model", name="MBZUAI/GLaMM-RefSeg", commit="1" * 40,
        licence=licence, terms="more", files=files,
    )  # fmt: skip
    return Listing(repositories=(repository,))


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a\\..\\x", "a\0b", ""])
def test_a_hub_cannot_write_outside_its_folder(path):
    with pytest.raises(ValidationError):
        HubFile(path=path, size=1, blob="0" * 40)


def test_the_plan_says_what_it_needs(gpu):
    asked = settings(images=100)
    text = plan_text(asked, listing(), ())
    for part in ("1.000 GB  MBZUAI/GLaMM-RefSeg at 111111111111", "apache-2.0; more", "A large GPU",
                 "100 images (at most 100 a split)", "minutes for the published"):  # fmt: skip
        assert part in text
    assert "too little memory" not in text
    gpu(8 * 10**9)
    small = plan_text(asked, listing(""), ())
    assert "too little memory: the published model needs about 20 GB" in small
    assert "licence on its page: none stated" in small


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--splits", "refcoco/test"], "unknown split 'refcoco/test'"),
        (["--splits", "refcoco/val", "refcoco/val"], "names a split twice"),
        (["--methods", "litelvm"], "litelvlm"),
        (["--tokens", "600"], "less than or equal to 576"),
        (["--draws", "0"], "draws"),
        (["--clip", "somewhere"], "--clip goes with --model"),
    ],
)
def test_bad_options_are_refused_before_the_hub_is_asked(tmp_path, capsys, arguments, message):
    assert main(["reproduce", "refseg", "--out", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_card_needs_scores(tmp_path, capsys):
    assert main(["reproduce", "efficiency", "--card", str(tmp_path / "card.json")]) == 2
    assert "--card needs scores, and efficiency has times" in capsys.readouterr().err


def test_a_cache_is_refused_where_encoding_is_timed_and_its_room_is_counted(tmp_path, capsys):
    states = tmp_path / "states"
    assert main(["reproduce", "efficiency", "--cache", str(states)]) == 2
    assert "times how images are encoded, and a cache would skip that" in capsys.readouterr().err
    assert not states.exists()
    place, whole = Workplace(tmp_path / "out"), cached_bytes(settings())
    assert whole == 750 * 31_000_000
    assert cached_bytes(settings(model="embedded")) == 0
    (plain,), (room,) = rooms(place, None), rooms(place, None, states, whole)
    assert room.needed - plain.needed == whole
    (states / "ab").mkdir(parents=True)
    (states / "ab" / "abc.safetensors").write_bytes(b"0" * 5000)
    (room,) = rooms(place, None, states, whole)
    assert room.needed - plain.needed == whole - 5000


def test_splits_keep_the_order_of_the_table():
    target = TARGETS["refseg"]
    assert parse_splits([], target) == published.SPLITS
    assert parse_splits(["refcocog/test", "refcoco/val"], target) == (
        ("refcoco", "val"),
        ("refcocog", "test"),
    )


class Terminal(io.StringIO):
    """Somebody who answers."""

    def isatty(self):
        return True


def test_without_consent_nothing_is_done(tmp_path, capsys, monkeypatch):
    own = ["--model", "embedded", "--data", "embedded", "--splits", "refcoco/val"]
    arguments = ["reproduce", "refseg", *own, "--out", str(tmp_path), "--images", "2"]
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(arguments) == 2
    assert "add --yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", Terminal("no\n"))
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "nothing; the files are yours" in said
    assert "nothing was fetched" in said
    assert not (tmp_path / "runs").exists()
    assert main([*arguments, "--plan"]) == 0
    assert "2 images" in capsys.readouterr().out
