"""What the live demo computes and refuses, without its page."""

import asyncio
import socket
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from litelvlm import get_pruner
from litelvlm.analysis.cli import main
from litelvlm.analysis.pages import demo
from litelvlm.analysis.pages.demo import DemoResult, compare, read_upload, usable_methods
from litelvlm.analysis.studies.overlay import contrasting_tints, draw_overlay, kept_pixels


@pytest.fixture(scope="module")
def scene(data):
    sample = data[0]
    return sample.image(), sample.expressions[0].sent


def test_both_masks_are_those_of_the_model(model, scene):
    picture, text = scene
    found = compare(model, picture, text, "litelvlm", 16, 0)
    few = model.segment(picture, text, get_pruner("litelvlm"), budget=16)
    whole = model.segment(picture, text)
    size = found.pruned.shape[:2]
    kept = kept_pixels(few.selection.indices.tolist(), model.view(*size), *size)
    masks = few.mask[0].numpy(), whole.mask[0].numpy()
    (tint,) = contrasting_tints(picture, (masks[0] | masks[1])[None])
    np.testing.assert_array_equal(found.pruned, draw_overlay(picture, masks[0], kept, tint))
    everything = np.where(np.isnan(kept), np.nan, 1.0)
    np.testing.assert_array_equal(found.unpruned, draw_overlay(picture, masks[1], everything, tint))
    assert found.agreement == pytest.approx(
        (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    )
    assert (found.n_kept, found.n_tokens) == (16, 144)
    assert min(found.unpruned_seconds, found.pruned_seconds) > 0


def test_a_method_inside_the_language_model_counts_tokens_per_layer(model, scene):
    assert compare(model, *scene, "fastv", 48, 0).n_kept == 48


def test_the_summary_says_what_was_saved():
    blank = np.zeros((1, 1, 3), dtype=np.uint8)
    text = DemoResult(blank, blank, 0.5, 36.0, 144, 0.2, 0.05).summary
    assert "36 of 144 visual tokens (75% fewer)" in text
    assert "50 ms instead of 200 ms (75% less time)" in text
    assert "25% more" in DemoResult(blank, blank, 1.0, 1.0, 144, 0.2, 0.25).summary


def test_oracles_are_not_offered():
    methods = usable_methods()
    assert {"litelvlm", "random", "fastv"} <= set(methods)
    assert not {"none", "mask_oracle", "inverse_mask_oracle"} & set(methods)


@pytest.mark.parametrize(
    ("text", "method", "budget", "message"),
    [
        ("  ", "litelvlm", 16, "is empty"),
        ("the ball", "litelvm", 16, "did you mean 'litelvlm'"),
        ("the ball", "mask_oracle", 16, "method 'mask_oracle'"),
        ("the ball", "litelvlm", 0, "budget"),
        ("the ball", "litelvlm", 145, "budget"),
    ],
)
def test_what_cannot_be_asked_is_refused(model, scene, text, method, budget, message):
    with pytest.raises(ValueError, match=message):
        compare(model, scene[0], text, method, budget, 0)


def test_uploads_are_checked_before_they_are_decoded(tmp_path, monkeypatch):
    path = tmp_path / "upload.png"
    Image.new("RGB", (60, 40), (9, 8, 7)).save(path)
    assert read_upload(path).size == (60, 40)
    monkeypatch.setattr("litelvlm.analysis.pages.demo.MAX_PIXELS", 2399)
    with pytest.raises(ValueError, match="60 x 40 pixels"):
        read_upload(path)


@pytest.mark.parametrize(
    ("side", "message"), [(10_000, "10000 x 10000 pixels"), (60_000, "DecompressionBombError")]
)
def test_a_small_file_that_claims_a_huge_picture_is_refused_unread(tmp_path, side, message):
    path = tmp_path / "bomb.png"
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(9))),
    ]
    packed = [
        struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d))
        for kind, d in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    with pytest.raises(ValueError, match=message):
        read_upload(path)


@pytest.fixture
def page(model, scene, monkeypatch):
    """The function behind the page's button, whose computations only note their thread."""
    threads = []

    def computed(model, picture, *_):
        threads.append(threading.current_thread())
        return DemoResult(np.asarray(picture), np.asarray(picture), 1.0, 1.0, 2, 1.0, 1.0)

    async def built(folder):  # without a running loop gradio makes some and closes none
        return demo.build_app(model, {scene[1]: scene[0]}, folder)

    monkeypatch.setattr(demo, "compare", computed)
    with mock.patch.dict("os.environ"), demo.contained() as folder:
        app = asyncio.run(built(folder))
        (found,) = [one.fn for one in app.fns.values() if one.api_name == "compare"]
        yield found, threads


def test_every_answer_is_computed_in_one_and_the_same_thread(page, scene, tmp_path):
    answer, threads = page
    scene[0].save(tmp_path / "one.png")
    for _ in range(4):
        with ThreadPoolExecutor(1) as caller:
            caller.submit(answer, str(tmp_path / "one.png"), "x", "litelvlm", 8.0, 0.0).result()
    assert (len(threads), len(set(threads))) == (4, 1)


def test_a_refusal_reaches_the_page_in_words(page, tmp_path):
    answer, threads = page
    (tmp_path / "one.png").write_text("no picture")
    with pytest.raises(Exception, match="not a readable picture"):
        answer(str(tmp_path / "one.png"), "x", "litelvlm", 8.0, 0.0)
    assert threads == []


def test_gradio_is_imported_when_its_folder_is_known():
    code = (
        "from litelvlm.analysis.pages.demo import contained\n"
        "with contained() as folder:\n"
        "    from gradio.route_utils import DEFAULT_TEMP_DIR\n"
        "    assert DEFAULT_TEMP_DIR == str(folder)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_an_address_that_cannot_be_had_is_told_before_a_model_is_loaded(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words in (["--port", str(port)], ["--host", "300.1.1.1"]):
            with mock.patch("litelvlm.analysis.cli.actions.loading.model_of") as loaded:
                assert main(["demo", *words]) == 1
            assert not loaded.called
            assert "nothing can listen at" in capsys.readouterr().err
