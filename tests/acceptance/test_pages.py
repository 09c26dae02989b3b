"""Explorer and report as a reader uses them, in a real browser without a network.

Pointer, keys, widths and colour schemes.
"""

import pytest
from chromium import Chromium

from litelvlm import load_model, load_refer
from litelvlm.analysis.api import complete_run
from litelvlm.analysis.cli import main
from litelvlm.analysis.studies import sink, sweep

METHODS = ("litelvlm", "random", "avgpool", "mask_oracle", "litelvlm:paper")
SIGNALS = {
    "seg_attention": "attention of the state that predicts [SEG], mean over the middle layers of "
    "the unpruned language model",
    "gradient": "how much the unpruned mask depends on the token, to first order",
    "block_removal": "fall of the unpruned mask's soft Dice without the token's block",
}
"""Signals of the language model, and how the page explains each."""
PHONE = {"width": 375, "height": 800, "phone": True}


@pytest.fixture(scope="module")
def model():
    return load_model("embedded", device="cpu")


@pytest.fixture(scope="module")
def data():
    return load_refer("embedded", split="val")


@pytest.fixture(scope="module")
def runs(model, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    swept = complete_run(
        sweep.STUDY,
        model,
        data,
        sweep.Config(methods=METHODS, budgets=(48, 8), seeds=1, limit=2),
        out,
    )
    return swept, complete_run(sink.STUDY, model, data, sink.Config(limit=2), out)


def write(verb, *given, out, page=None):
    """The page that a command writes."""
    assert main([verb, *map(str, given), "--out", str(out)]) == 0
    return page or out


@pytest.fixture(scope="module")
def explorer(runs, tmp_path_factory):
    page = tmp_path_factory.mktemp("page") / "page.html"
    return write("explore", runs[0], "--samples", 4, out=page)


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return write("report", *runs, out=folder, page=folder / "index.html")


@pytest.fixture(scope="module")
def browser():
    with Chromium() as running:
        yield running


def text(browser, selector):
    return browser.js(f"document.querySelector('{selector}').textContent")


def pixels(browser, selector):
    """What a canvas shows, as a string."""
    return browser.js(f"document.querySelector('{selector}').toDataURL()")


def open_alone(browser, page):
    """Open the explorer with one pane and 48 tokens, wherever it starts."""
    browser.open(page)
    browser.js("(setPair(false), setStop(stops.indexOf(48)))")
    browser.frame()


def assert_quiet_and_offline(browser):
    assert browser.complaints == []
    assert browser.requests == []


def assert_no_sideways_scrolling(browser, width):
    assert browser.js("document.documentElement.scrollWidth") <= width


def test_the_slider_changes_tokens_mask_and_numbers(browser, explorer):
    open_alone(browser, explorer)
    assert text(browser, "#kept") == "48 of 144 tokens"
    seen = {pixels(browser, "canvas")}
    browser.js("document.querySelector('#budget').focus()")
    for key, count in (
        ("ArrowLeft", "8 of 144 tokens"),
        ("ArrowRight", "48 of 144 tokens"),
        ("ArrowRight", "all 144 tokens"),
    ):
        browser.press(key)
        assert text(browser, "#kept") == count
        seen.add(pixels(browser, "canvas"))
    assert len(seen) == 3  # 48 tokens were seen twice
    assert text(browser, "figcaption") == "All 144 tokens: the unpruned model."
    assert_quiet_and_offline(browser)


def test_another_method_shows_its_own_tokens(browser, explorer):
    open_alone(browser, explorer)
    caption, picture = text(browser, "figcaption"), pixels(browser, "canvas")
    assert caption.startswith("48 kept by similarity; IoU ")
    browser.js("document.querySelector('.pane select').focus()")
    browser.js("document.querySelector('.pane select').value = 'avgpool'")
    browser.js("document.querySelector('.pane select').dispatchEvent(new Event('change'))")
    assert text(browser, "figcaption").startswith("48 merged without one place; IoU ")
    assert pixels(browser, "canvas") != picture
    browser.point("#overview tbody tr:nth-child(4) td:nth-child(2) button", click=True)
    assert browser.js("[state.methods[0], stops[state.stop]].join()") == "mask_oracle,8"
    assert_quiet_and_offline(browser)


def test_two_methods_stand_side_by_side(browser, explorer):
    open_alone(browser, explorer)
    browser.point("#pair", click=True)
    assert browser.js("document.querySelectorAll('.pane').length") == 2
    left, right = browser.js(
        "[...document.querySelectorAll('.pane canvas')].map(c => c.getBoundingClientRect().x)"
    )
    assert right > left
    first, second = browser.js(
        "[...document.querySelectorAll('.pane canvas')].map(c => c.toDataURL())"
    )
    assert first != second
    assert (
        browser.js("[...document.querySelectorAll('.pane select')].map(s => s.value).join()")
        == "litelvlm,random"
    )
    assert_quiet_and_offline(browser)


def test_pointing_at_a_token_shows_its_ranks_and_scores(browser, explorer):
    open_alone(browser, explorer)
    browser.point("canvas", 0.5, 0.5)
    token = browser.js("state.token")
    line = "#token tr[data-name=litelvlm]"
    assert text(browser, "#token p").startswith(f"Token {token}: ")
    # The paper's own rule keeps context tokens, which its similarity does not rank.
    assert (
        "Rank 1 of 144 is kept first. But the ranks of LiteLVLM, the paper's own rule are by "
        "similarity, which ranks all but the context tokens." in text(browser, "#token p")
    )
    rank, score = (text(browser, f"{line} td:nth-of-type({i})") for i in (1, 2))
    assert int(rank) == browser.js(f"current().unpacked('litelvlm').rank[{token}]")
    # the paper's method keeps the lowest similarity, so the two signs differ
    assert float(score) == pytest.approx(
        -float(text(browser, "#token tr[data-name=similarity] td:nth-of-type(2)"))
    )
    assert text(browser, "#token tr[data-name=random] td:nth-of-type(2)") == "no score"
    kept = [budget for budget, limit in ((8, 8), (48, 48)) if int(rank) <= limit]
    label = browser.js(f"document.querySelector('{line} .dots').getAttribute('aria-label')")
    assert label == f"kept at {', '.join(map(str, kept)) or 'no budget'}"
    browser.js("document.querySelector('canvas').focus()")
    browser.press("ArrowRight")
    browser.press("ArrowDown")
    assert browser.js("state.token") == token + 1 + 12
    assert_quiet_and_offline(browser)


def test_pointing_at_a_word_shows_every_layer_and_head(browser, explorer):
    open_alone(browser, explorer)
    browser.point("[data-word='0']")
    assert "“[SOS]”" in text(browser, "#attention p")
    cells = browser.js(
        "[...document.querySelectorAll('#attention [data-share]')]"
        ".map(c => Number(c.dataset.share))"
    )
    assert len(cells) == 4 * 4
    words = browser.js("current().words.texts.length")
    for word in range(1, words):
        browser.js(f"document.querySelector(\"[data-word='{word}']\").focus()")
        shares = browser.js(
            "[...document.querySelectorAll('#attention [data-share]')]"
            ".map(c => Number(c.dataset.share))"
        )
        cells = [a + b for a, b in zip(cells, shares, strict=True)]
    assert cells == pytest.approx([1] * 16, abs=2e-3)  # attention of each head over all words
    browser.point("#attention td[data-share]", click=True)
    assert "layer 0, head 0" in text(browser, "#attention p")
    assert_quiet_and_offline(browser)


def test_the_heat_map_and_the_layers_of_the_picture_can_be_chosen(browser, explorer):
    open_alone(browser, explorer)
    seen = [pixels(browser, "canvas")]
    browser.js("document.querySelector('#heat').value = 'similarity'")
    browser.js("document.querySelector('#heat').dispatchEvent(new Event('change'))")
    seen.append(pixels(browser, "canvas"))
    assert "LiteLVLM keeps the lowest" in text(browser, "#ramp")
    for box in ("marks", "dim", "mask", "truth"):
        browser.point(f"#show-{box}", click=True)
        seen.append(pixels(browser, "canvas"))
    for signal, meaning in SIGNALS.items():
        browser.js(f"document.querySelector('#heat').value = '{signal}'")
        browser.js("document.querySelector('#heat').dispatchEvent(new Event('change'))")
        seen.append(pixels(browser, "canvas"))
        assert text(browser, "#ramp-what") == meaning
        assert text(browser, f"#token tr[data-name={signal}] td:nth-of-type(1)") != "–"
    assert len(set(seen)) == 9
    assert_quiet_and_offline(browser)


def test_masks_in_the_page_are_those_that_were_packed(browser, explorer):
    open_alone(browser, explorer)
    found = browser.js(
        "data.samples.map(s => Object.values(s.selections)"
        ".flatMap(each => Object.values(each)).map(found => {"
        "const [w, h] = s.size, a = unpackMask(found.mask, w, h), b = unpackMask(s.truth, w, h);"
        "const both = a.filter((v, i) => v && b[i]).length,"
        " any = a.filter((v, i) => v || b[i]).length;"
        "return [any ? both / any : 1, found.iou]; }))"
    )
    assert found
    assert all(found)
    for pairs in found:
        for read, stated in pairs:
            assert read == pytest.approx(stated, abs=1e-3)


def test_keys_move_between_expressions(browser, explorer):
    open_alone(browser, explorer)
    first = text(browser, "#expression")
    browser.press("n", "n")
    assert text(browser, "#expression") != first
    browser.press("p", "p")
    assert text(browser, "#expression") == first
    browser.press("b", "b")
    assert browser.js("document.querySelectorAll('.pane').length") == 2
    assert_quiet_and_offline(browser)


def test_the_address_leads_back_to_a_view(browser, explorer):
    open_alone(browser, explorer)
    browser.press("n", "n")
    browser.js("(state.methods[0] = 'avgpool', state.heat = 'centre', setStop(0))")
    link, caption = browser.js("location.hash"), text(browser, "figcaption")
    assert "method=avgpool" in link
    assert "tokens=8" in link
    assert browser.js("document.querySelector('#link').getAttribute('href')") == link
    place = browser.js("state.sample")
    browser.js("(state.heat = '', state.methods[0] = 'litelvlm', openSample(state.sample + 1))")
    assert browser.js("location.hash") != link
    browser.js(f"location.hash = {link!r}")
    browser.wait(f"state.sample === {place}")
    assert text(browser, "figcaption") == caption
    assert browser.js("[state.methods[0], state.heat, state.pair].join()") == "avgpool,centre,false"
    browser.js("location.hash = '#sample=none&method=<b>&tokens=x'")
    browser.frame()
    assert_quiet_and_offline(browser)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_explorer_fits_a_phone(browser, explorer, dark):
    browser.open(explorer, dark=dark, **PHONE)
    browser.point("#pair", click=True)
    assert_no_sideways_scrolling(browser, 375)
    ground = browser.js("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 21, 23)" if dark else "rgb(252, 252, 250)")
    assert_quiet_and_offline(browser)


def test_the_report_opens_from_disk_and_its_parts_unfold(browser, report):
    browser.open(report)
    assert "Verdicts" in text(browser, "#verdicts h2")
    assert browser.js(
        "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    )
    closed = browser.js("document.documentElement.scrollHeight")
    browser.js("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert browser.js("document.documentElement.scrollHeight") > closed
    assert_no_sideways_scrolling(browser, 1280)
    assert_quiet_and_offline(browser)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_report_fits_a_phone(browser, report, dark):
    browser.open(report, dark=dark, **PHONE)
    browser.js("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert_no_sideways_scrolling(browser, 375)
    ink, paper = browser.js(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    brightness = [
        sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))
        for colour in (ink, paper)
    ]
    assert (brightness[0] > brightness[1]) == dark
    assert_quiet_and_offline(browser)
