"""Encoded images on disk change no result, and a file that does not fit is made again."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
import torch

from litelvlm import load_model
from litelvlm.analysis.api import evaluate, read_rows
from litelvlm.analysis.cli.actions.loading import studied_of
from litelvlm.analysis.cli.verbs.study import StudyVerb
from litelvlm.analysis.inputs import image_cache as keyed
from litelvlm.analysis.inputs.image_cache import origin_of, with_image_cache
from litelvlm.models import image_cache
from litelvlm.models.base import StudiedModel
from tests.warm import run_python


def cached(model, folder):
    return with_image_cache(model, folder / "kept")


def refuse(*_):
    raise ValueError("the state is NaN")


def layout(tensor):
    """Strides of the axes that have more than one entry; the others mean nothing."""
    return [tensor.stride(axis) for axis in range(tensor.ndim) if tensor.shape[axis] > 1]


def equal(one, other):
    """Whether two states are the same bit for bit, their layouts in memory included."""
    first, second = one.tensors(), other.tensors()
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name])
        and first[name].dtype == second[name].dtype
        and layout(first[name]) == layout(second[name])
        for name in first
    )


def files(folder):
    return sorted((folder / "kept").rglob("*.safetensors"))


def test_a_second_reading_encodes_nothing(model, state, data, tmp_path, monkeypatch):
    picture, keeping = data[0].image(), cached(model, tmp_path)
    assert equal(keeping.encode_image(picture), state)
    assert model.image_cache is None
    other = cached(model, tmp_path)
    monkeypatch.setattr(type(model), "_encode", refuse)
    found = other.encode_image(picture)
    assert equal(found, state)
    assert found.view == state.view
    counts = [(m.image_cache.n_read, m.image_cache.n_made) for m in (keeping, other)]
    assert counts == [(0, 1), (1, 0)]
    # What methods read later is computed from the same numbers.
    talk = model.conversation(["the dog"])
    for name in ("cls_attention", "late_states", "colours", "keys_mean", "values"):
        assert torch.equal(other.cues(found, talk).get(name), model.cues(state, talk).get(name))


def test_another_image_or_crop_is_another_file_and_another_reading_is_not(model, data, tmp_path):
    keeping = cached(model, tmp_path)
    keeping.encode_image(data[0].image())
    keeping.encode_image(data[1].image())
    assert len(files(tmp_path)) == 2
    # Options that the towers do not know of share the file, others do not.
    keeping.with_options(read="seg").encode_image(data[0].image())
    assert len(files(tmp_path)) == 2
    padded = keeping.with_options(crop="squash").encode_image(data[0].image())
    assert len(files(tmp_path)) == 3
    assert equal(padded, model.with_options(crop="squash").encode_image(data[0].image()))
    assert (keeping.image_cache.n_read, keeping.image_cache.n_made) == (1, 3)


def test_other_weights_code_or_libraries_find_nothing(model, data, tmp_path, monkeypatch):
    keeping = cached(model, tmp_path)
    keeping.encode_image(data[0].image())
    drawn = load_model("embedded", device="cpu", random_init=True)
    changed = load_model("embedded", device="cpu", random_init=True)
    with torch.no_grad():
        next(changed.sam.vision_encoder.parameters()).flatten()[0] += 1
    origins = {origin_of(each) for each in (model, drawn, changed)}
    for name, other in (("code_of", "other code"), ("versions", {"torch": "0"}), ("hardware", "x")):
        with monkeypatch.context() as patch:
            patch.setattr(keyed, name, lambda *_, other=other: other)
            origins.add(origin_of(model))
    assert len(origins) == 6
    assert origin_of(load_model("embedded", device="cpu")) == origin_of(model)
    for number, each in enumerate((drawn, changed), start=2):
        assert cached(each, tmp_path).encode_image(data[0].image()) is not None
        assert len(files(tmp_path)) == number


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    return bytes(content)


def without_sam(path):
    tensors = image_cache.read_tensors(path, path.stem)
    return image_cache.packed({n: t for n, t in tensors.items() if n != "sam"}, path.stem)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path, other: path.read_bytes()[:-100], "header|incomplete|invalid|metadata"),
        (lambda path, other: flipped(path), "checksum"),
        (lambda path, other: other.read_bytes(), "not written for this image"),
        (lambda path, other: b"", "header|small|invalid|empty"),
        (lambda path, other: without_sam(path), "'sam'"),
    ],
)
def test_a_file_that_does_not_fit_is_reported_and_made_again(
    model, state, data, tmp_path, caplog, damage, words
):
    keeping = cached(model, tmp_path)
    keeping.encode_image(data[0].image())
    (path,) = files(tmp_path)
    keeping.encode_image(data[1].image())
    (other,) = set(files(tmp_path)) - {path}
    whole = path.read_bytes()
    path.write_bytes(damage(path, other))
    with caplog.at_level(logging.WARNING):
        assert equal(keeping.encode_image(data[0].image()), state)
    (record,) = caplog.records
    assert "encoded again" in record.getMessage()
    assert path.name in record.getMessage()
    assert pd.Series([record.getMessage().lower()]).str.contains(words).all()
    assert path.read_bytes() == whole
    assert keeping.image_cache.n_made == 3
    assert equal(keeping.encode_image(data[0].image()), state)
    assert keeping.image_cache.n_made == 3


def test_a_full_disk_stops_the_keeping_and_not_the_run(
    model, state, data, tmp_path, caplog, monkeypatch
):
    keeping, tries = cached(model, tmp_path), []

    def full(path, content):
        tries.append(path)
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(image_cache, "atomic_write", full)
    for _ in range(2):
        assert equal(keeping.encode_image(data[0].image()), state)
    assert len(tries) == 1
    assert caplog.text.count("kept no longer") == 1
    assert not files(tmp_path)


ENCODE = """
import sys
from litelvlm import load_model, load_refer
from litelvlm.analysis.inputs.image_cache import with_image_cache
model = with_image_cache(load_model("embedded", device="cpu"), sys.argv[1])
data = load_refer("embedded", split="val")
for number in range(6):
    model.encode_image(data[number].image())
print(model.image_cache.n_read + model.image_cache.n_made)
"""


def test_two_processes_share_a_folder(model, data, tmp_path):
    call = ["-c", ENCODE, str(tmp_path / "kept")]
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(run_python, [call, call]))
    assert [done.stdout.strip() for done in both] == ["6", "6"]
    assert len(files(tmp_path)) == 6
    left = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert sorted(left) == files(tmp_path)
    third = cached(model, tmp_path)
    for number in range(6):
        assert equal(
            third.encode_image(data[number].image()), model.encode_image(data[number].image())
        )
    # What another process kept serves this one.
    assert (third.image_cache.n_read, third.image_cache.n_made) == (6, 0)


def test_scores_are_the_same_with_and_without(model, data, tmp_path, monkeypatch):
    asked = {"methods": ["litelvlm", "random"], "budgets": (48, 8), "limit": 2, "seeds": 1}
    plain = evaluate(model, data, out=tmp_path / "plain", **asked)
    first = evaluate(model, data, out=tmp_path / "first", cache=tmp_path / "kept", **asked)
    assert len(files(tmp_path)) == 2
    monkeypatch.setattr(type(model), "_encode", refuse)
    second = evaluate(model, data, out=tmp_path / "second", cache=tmp_path / "kept", **asked)
    rows = [read_rows(Path(table.attrs["run"])) for table in (plain, first, second)]
    pd.testing.assert_frame_equal(rows[0], rows[1])
    pd.testing.assert_frame_equal(rows[0], rows[2])
    pd.testing.assert_frame_equal(plain, second)
    # The cache is no part of a run's key.
    assert len({Path(table.attrs["run"]).name for table in (plain, first, second)}) == 1


def test_who_cannot_keep_is_refused_by_name(model, tmp_path):
    class Answers(StudiedModel):
        name, digest = "answers", "0"
        device, dtype, view, question = torch.device("cpu"), torch.float32, None, None

    with pytest.raises(ValueError, match="answers \\(Answers\\) cannot keep encoded images"):
        with_image_cache(Answers(), tmp_path)
    with pytest.raises(ValueError, match="--cache kept: vlm:x cannot keep encoded images"):
        studied_of(StudyVerb(names=("sink",), cache=Path("kept"), model="vlm:x"))
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="name a folder"):
        with_image_cache(model, tmp_path / "file")


def test_a_bench_reads_no_kept_images(model, data, tmp_path):
    """Kept images would make the image stage free, under the key of honest times."""
    keeping = cached(model, tmp_path)
    keeping.encode_image(data[0].image())
    before = keeping.image_cache.n_read
    found = keeping.timed_call(data[0].image(), [data[0].expressions[0].sent], None, 144).whole()
    assert keeping.image_cache.n_read == before
    assert {"clip_image", "sam_encoder"} <= set(found)
    assert keeping.image_cache is not None
