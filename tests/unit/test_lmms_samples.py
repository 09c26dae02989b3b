"""Samples in the form that lmms-eval 0.7.3 logs them, read back and compared in pairs."""

import json

import numpy as np
import pytest

from litelvlm.analysis.api import mean_estimate, paired_difference, read_samples


def logged(path, records, **common):
    """A file of logged samples; each record holds what the metrics of one document are."""
    lines = []
    for doc, metrics in enumerate(records):
        sample = {"doc_id": doc, "target": "yes", "filtered_resps": "yes", "token_counts": [None],
                  "doc_hash": "d6f644b19812e97b", **common, **metrics,
                  "input": f"Is there a dog in picture {doc}?"}  # fmt: skip
        lines.append(json.dumps(sample))
    path.write_text("\n".join(lines) + "\n")
    return path


def scored(path, scores, images=None):
    """A file with the records of a task of this project."""
    images = range(len(scores)) if images is None else images
    return logged(
        path,
        [{"accuracy": {"question_id": "q", "image_id": f"i{image}", "score": float(score)}}
         for image, score in zip(images, scores, strict=True)],
    )  # fmt: skip


def test_numbers_and_records_become_one_table(tmp_path):
    file = logged(tmp_path / "a.jsonl", [
        {"exact_match": 1.0, "pope": {"score": 1, "question_id": 7}, "submission": {"a": 1}},
        {"exact_match": False, "pope": {"score": 0, "question_id": 7, "image": "n1"}},
    ])  # fmt: skip
    table = read_samples(file, "exact_match")
    assert list(table) == ["doc_id", "input", "target", "score", "image_id"]
    assert table["score"].tolist() == [1.0, 0.0]
    assert table["image_id"].tolist() == ["", ""]
    assert table["input"][1] == "Is there a dog in picture 1?"
    assert read_samples(file, "pope")["image_id"].tolist() == ["", "n1"]
    assert read_samples(file, "pope", image="question_id")["image_id"].tolist() == ["7", "7"]
    hits = read_samples(file, "pope", score=lambda one: one["question_id"] == 7)
    assert hits["score"].tolist() == [1.0, 1.0]
    assert read_samples(file, "pope", "question_id")["score"].tolist() == [7.0, 7.0]
    media = logged(tmp_path / "m.jsonl", [{"m": 1}, {"m": 1}], input_media=["a.jpg"])
    assert read_samples(media, "m")["image_id"].tolist() == ['["a.jpg"]'] * 2
    inside = logged(tmp_path / "d.jsonl", [{"m": 1}], input_media=["data:image/png;base64,AAAA"])
    assert len(read_samples(inside, "m")["image_id"][0]) == 64


def test_documents_without_the_metric_are_left_out_and_an_unknown_one_is_refused(tmp_path):
    file = logged(tmp_path / "a.jsonl", [{"mme_perception": 1}, {"mme_cognition": 0}])
    assert read_samples(file, "mme_cognition")["doc_id"].tolist() == [1]
    with pytest.raises(ValueError, match=r"a\.jsonl 'mme'.*: mme_cognition, mme_perception$"):
        read_samples(file, "mme")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 1: .*; give a file of --log_samples"),
        ("[" * 10_000, "line 1: .*; give a file of --log_samples"),
        ("[]", r"line 1: \[\] is no sample of lmms-eval"),
        ('{"results": {}}', "line 1: .*'results'.* is no sample"),
        ('{"doc_id": 0, "input": "?", "target": "", "m": "yes"}', "the score 'yes', expected"),
        ('{"doc_id": 0, "input": "?", "target": "", "m": {"pred": "A"}}', "None.*'pred': 'A'"),
        ('{"doc_id": 0, "input": "?", "target": "", "m": 1e999}', "line 1"),
        ('{"doc_id": 0, "input": "?", "target": "", "m": 1}\n' * 2, "document 0 stands twice"),
    ],
)  # fmt: skip
def test_what_is_no_log_is_refused(tmp_path, line, told):
    file = tmp_path / "a.jsonl"
    file.write_text(line)
    with pytest.raises(ValueError, match=told):
        read_samples(file, "m")


def test_a_field_for_the_picture_that_is_not_there_is_refused(tmp_path):
    file = scored(tmp_path / "a.jsonl", [1])
    with pytest.raises(ValueError, match="accuracy has no field 'picture', it is"):
        read_samples(file, "accuracy", image="picture")


def test_the_paired_difference_resamples_pictures(tmp_path):
    rng = np.random.default_rng(0)
    images = np.repeat(np.arange(30), 4)
    first, second = rng.integers(2, size=(2, 120))
    one = read_samples(scored(tmp_path / "a.jsonl", first, images), "accuracy")
    other = read_samples(scored(tmp_path / "b.jsonl", second, images), "accuracy")
    found = paired_difference(one, other.sample(frac=1, random_state=0))
    names = np.array([f"i{image}" for image in images])
    assert found == mean_estimate((first - second).astype(float), names)
    assert found.n_images == 30
    # Without names each document is a picture of its own.
    alone = paired_difference(one.assign(image_id=""), other.assign(image_id=""))
    assert (alone.value, alone.n_images) == (found.value, 120)


def test_other_documents_are_named(tmp_path):
    one = read_samples(scored(tmp_path / "a.jsonl", [1] * 6), "accuracy")
    other = read_samples(scored(tmp_path / "b.jsonl", [1] * 2), "accuracy")
    with pytest.raises(ValueError, match=r"4 only in the first \(2, 3, 4, \.\.\.\); take runs"):
        paired_difference(one, other)
    with pytest.raises(ValueError, match=r"differ: 4 only in the second \(2, 3, 4, \.\.\.\); take"):
        paired_difference(other, one)
    with pytest.raises(
        ValueError, match="document 0 has the target 'yes' in the first and 'no' in"
    ):
        paired_difference(other, other.assign(target="no"))
