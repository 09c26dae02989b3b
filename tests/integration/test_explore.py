"""The explorer's page holds what the model and the run hold.

It refuses what does not belong together.
"""

import base64
import html
import json
import re
import shutil

import numpy as np
import pytest

from litelvlm import get_pruner
from litelvlm.analysis.api import complete_run, read_rows
from litelvlm.analysis.pages.explore import page as pages
from litelvlm.analysis.pages.explore.data import expression_view
from litelvlm.analysis.pages.explore.page import build_page
from litelvlm.analysis.pages.explore.scores import INSIDE, method_score
from litelvlm.analysis.studies import sweep
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.data.safe.rasterise import decode_mask
from litelvlm.models.glamm.attribution.targets import attention_rows, block_importance
from tests.glamm_parts import conversation

METHODS = ("litelvlm", "high_similarity", "avgpool", "random", "fastv")
LEGEND = {name: (name, "#777777") for name in METHODS} | {"litelvlm": ("LiteLVLM", "#D55E00")}


@pytest.fixture(scope="module")
def run(model, data, tmp_path_factory):
    config = sweep.Config(methods=METHODS, budgets=(48, 8), seeds=2, limit=2)
    return complete_run(sweep.STUDY, model, data, config, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def page(model, data, run, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "page.html"
    return build_page(model, data, run, out, LEGEND, samples=3)


@pytest.fixture(scope="module")
def payload(page):
    return payload_of(page)


def payload_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL).group(1))


def bits(text, n=144):
    return np.flatnonzero(
        np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), bitorder="little")[:n]
    ).tolist()


def unpacked(counts, size):
    return decode_mask({"size": [size[1], size[0]], "counts": counts}, size[1], size[0])


def sample_of(data, view):
    return next((s, e) for s in data for e in s.expressions if int(e.sent_id) == view["id"])


def cues_of(model, data, view):
    sample, expression = sample_of(data, view)
    talk = conversation([expression.sent])
    return model.cues(model.encode_image(sample.image()), talk, key=int(sample.image_id))


def test_it_holds_every_method_at_every_budget(payload):
    assert [method["name"] for method in payload["methods"]] == list(METHODS)
    assert payload["methods"][0]["label"] == "LiteLVLM"
    assert payload["budgets"] == [8, 48]
    assert len(payload["samples"]) == 3
    for view in payload["samples"]:
        assert {m: set(found) for m, found in view["selections"].items()} == {
            m: {"48"} if m == "fastv" else {"48", "8"} for m in METHODS
        }


def test_the_kept_tokens_are_those_of_the_method(model, data, payload):
    for view in payload["samples"]:
        cues = cues_of(model, data, view)
        for name, budget in (("litelvlm", 48), ("high_similarity", 8)):
            kept = get_pruner(name).select(cues, budget)
            (role,) = set(kept.roles or ["kept"])
            assert bits(view["selections"][name][str(budget)]["roles"][role]) == sorted(
                kept.indices.tolist()
            )


def test_merged_tokens_without_a_place_are_counted(payload):
    found = payload["samples"][0]["selections"]["avgpool"]["8"]
    assert (found["roles"], found["placeless"]) == ({}, 8)


def test_a_method_inside_the_language_model_shows_its_last_layer(payload):
    found = payload["samples"][0]["selections"]["fastv"]["48"]
    # (144 + 3 k) / 4 = 48 tokens on average over four layers
    assert found["layers"] == [144, 16, 16, 16]
    assert len(bits(found["roles"]["kept"])) == 16


def test_iou_and_masks_agree_with_the_rows_of_the_run(data, run, payload):
    rows = read_rows(run)
    rows = rows[rows["seed"] == 0].set_index(["sent_id", "method", "budget"])["iou"]
    for view in payload["samples"]:
        sample, expression = sample_of(data, view)
        truth = unpacked(view["truth"], view["size"])
        np.testing.assert_array_equal(truth, sample.mask(expression) > 0)
        shown = {("none", 144): view["unpruned"]}
        shown |= {
            (m, int(b)): found
            for m, each in view["selections"].items()
            for b, found in each.items()
        }
        for (method, budget), found in shown.items():
            mask = unpacked(found["mask"], view["size"])
            assert found["iou"] == pytest.approx(
                (mask & truth).sum() / (mask | truth).sum(), abs=1e-4
            )
            assert found["iou"] == pytest.approx(rows[view["id"], method, budget], abs=1e-4)


def test_a_page_whose_masks_differ_from_the_run_says_so(
    model, data, run, tmp_path, caplog, monkeypatch
):
    rows = read_rows(run)
    rows.loc[rows["method"] == "avgpool", "iou"] -= 0.03
    monkeypatch.setattr(pages, "read_rows", lambda folder: rows)
    page = build_page(model, data, run, tmp_path / "page.html", LEGEND, 2, inside=False)
    told = [len(view["selections"]["avgpool"]) for view in payload_of(page)["samples"]]
    assert f"{sum(told)} of " in caplog.text
    for text in (caplog.text, page.read_text()):
        assert "pruned masks of this page differ from the run" in html.unescape(text)


def test_a_page_with_the_masks_of_the_run_says_nothing_of_them(page):
    assert "differ from the run" not in html.unescape(page.read_text())


@pytest.mark.parametrize(
    ("doubled", "least", "most"), [("background", 0.0, 0.0), ("object", 0.5, 1.0)]
)
def test_doubled_pixels_count_as_the_run_counts_them(
    model, data, monkeypatch, doubled, least, most
):
    sample = data[0]
    plain = type(sample).mask
    # The whole target lies under two polygons.
    monkeypatch.setattr(type(sample), "mask", lambda *of: 2 * plain(*of))
    context = SweepContext(model, data, sweep.Config(methods=("uniform",), doubled=doubled), (48,))
    view = expression_view(context, sample, sample.expressions[0], inside=False)
    assert least <= view["unpruned"]["iou"] <= most


def test_scores_and_ranks_are_those_of_the_methods(model, data, payload):
    view = payload["samples"][1]
    score = method_score(get_pruner("litelvlm"), cues_of(model, data, view)).numpy()
    packed = view["scores"]["litelvlm"]
    steps = np.frombuffer(base64.b64decode(packed["values"]), "<u2")
    spread = packed["high"] - packed["low"]
    np.testing.assert_allclose(packed["low"] + steps * spread / 65535, score, atol=spread / 65535)
    order = np.frombuffer(base64.b64decode(packed["order"]), "<u2")
    assert order.tolist() == np.argsort(-score, kind="stable").tolist()
    assert set(view["scores"]) == {*payload["signals"], "litelvlm", "high_similarity"}


def test_signals_of_the_language_model_are_those_of_the_unpruned_model(model, data, payload):
    view = payload["samples"][0]
    sample, expression = sample_of(data, view)
    state, talk = model.encode_image(sample.image()), conversation([expression.sent])
    # The middle layers of four are 1 and 2.
    rows = attention_rows(model, state, talk)[1:3].mean(dim=(0, 1)).numpy()
    loss = block_importance(model, state, talk).numpy()
    for name, expected in (("seg_attention", rows), ("block_removal", loss)):
        packed = view["scores"][name]
        steps = np.frombuffer(base64.b64decode(packed["values"]), "<u2").astype(float)
        found = packed["low"] + steps * (packed["high"] - packed["low"]) / 65535
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.ptp(expected) + 1e-7)
    assert view["scores"]["gradient"]["high"] > view["scores"]["gradient"]["low"] >= 0


def test_the_signals_of_the_language_model_can_be_left_out(model, data, run, tmp_path):
    page = build_page(model, data, run, tmp_path / "page.html", LEGEND, 1, inside=False)
    found = payload_of(page)
    assert not set(INSIDE) & {*found["signals"], *found["samples"][0]["scores"]}
    assert "similarity" in found["signals"]


def test_the_words_attention_adds_up_to_one_in_every_head(payload):
    for view in payload["samples"]:
        words = view["words"]
        assert words["texts"][0] == "[SOS]"
        assert view["text"].split()[-1] in words["texts"]
        packed = words["attention"]
        steps = np.frombuffer(base64.b64decode(packed["values"]), "<u2").astype(float)
        shares = packed["low"] + steps * (packed["high"] - packed["low"]) / 65535
        np.testing.assert_allclose(
            shares.reshape(words["layers"], words["heads"], -1).sum(-1), 1, atol=1e-3
        )


def test_it_starts_where_two_methods_differ_most(page, payload):
    start = payload_of(page)["start"]
    assert start["methods"] == ["litelvlm", "random"]

    def gap(view, budget):
        ious = [view["selections"][method][str(budget)]["iou"] for method in start["methods"]]
        return abs(ious[0] - ious[1])

    found = [view for view in payload["samples"] if view["unpruned"]["iou"] >= 0.5]
    largest = max(gap(view, budget) for view in found or payload["samples"] for budget in (8, 48))
    assert gap(payload["samples"][start["sample"]], start["budget"]) == pytest.approx(largest)
    assert "LiteLVLM and random differ most, whichever wins" in page.read_text()


def test_nothing_on_the_page_comes_from_elsewhere(page):
    text = page.read_text()
    assert re.findall(r"(?:src|href)=.?https?:", text) == []
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in html.unescape(text)
    assert "miniature" in text


def test_a_run_of_another_study_model_or_data_is_refused(model, data, run, tmp_path):
    out = tmp_path / "page.html"
    copy = shutil.copytree(run, tmp_path / run.name)
    record = (copy / "run.json").read_text()
    for old, new, message in (
        (
            f'"digest": "{model.digest}"',
            '"digest": "0123"',
            "made with the model 'embedded' of digest 0123",
        ),
        (f'"digest": "{data.digest}"', '"digest": "4567"', "name the same one with --data"),
        ('"study": "sweep"', '"study": "sink"', "the explorer shows a run of 'sweep'"),
        ('"parts_done": 1', '"parts_done": 0', "is incomplete"),
    ):
        assert old in record
        (copy / "run.json").write_text(record.replace(old, new))
        with pytest.raises(ValueError, match=message):
            build_page(model, data, copy, out, LEGEND)
    assert not out.exists()
