"""Which Parquet files are read: one split of one set, from wherever it is seen, or none."""

from fnmatch import fnmatch

import pytest

from litelvlm.data.understanding.question import QuestionDataError
from litelvlm.data.understanding.splits import fetched, split_files
from litelvlm.data.understanding.tasks import TASKS


def touch(root, name):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


HUB_FILES = ("data/train-0.parquet", "data/validation-0.parquet", "data/validation-1.parquet")


@pytest.mark.parametrize("given", ["", "set", "set/data"])
def test_only_the_split_is_read_from_wherever_it_is_seen(tmp_path, given):
    # The folder above has the name of the part: this decides nothing.
    root = tmp_path / "data" / "validation"
    for name in HUB_FILES:
        touch(root / "set", name)
    found = split_files(root / given, "data/validation")
    assert [path.name for path in found] == ["validation-0.parquet", "validation-1.parquet"]


def test_several_other_splits_are_refused(tmp_path):
    for name in HUB_FILES:
        touch(tmp_path, name)
    with pytest.raises(QuestionDataError, match="train, val, and none begins with 'en/dev'"):
        split_files(tmp_path, "en/dev")
    touch(tmp_path / "own", "part.parquet")
    assert [path.name for path in split_files(tmp_path / "own", "en/dev")] == ["part.parquet"]


@pytest.mark.parametrize(
    ("part", "patterns"),
    [("data/validation", ["data/validation*.parquet"]),
     ("en/dev", ["en/dev*.parquet", "*.parquet"])],
)  # fmt: skip
def test_only_the_split_is_fetched(tmp_path, monkeypatch, part, patterns):
    asked = []

    def snapshot(name, repo_type, allow_patterns):
        asked.extend(allow_patterns)
        for file in HUB_FILES:
            if fnmatch(file, allow_patterns[0]):
                touch(tmp_path, file)
        return str(tmp_path)

    monkeypatch.setattr("litelvlm.data.understanding.splits.snapshot_download", snapshot)
    assert fetched("owner/set", part) == tmp_path
    assert asked == patterns
    assert (tmp_path / "data" / "train-0.parquet").is_file() == (len(patterns) > 1)


@pytest.mark.parametrize(
    ("task", "files", "wanted"),
    [
        ("textvqa", ["train-0", "validation-0", "validation-1"], ["validation-0", "validation-1"]),
        ("textvqa", ["data/val-0", "data/test-0"], ["data/val-0"]),
        ("vqav2", ["data/val-0", "data/testdev-0", "data/test-0"], ["data/val-0"]),
        ("scienceqa", ["ScienceQA/test-0", "ScienceQA/train-0"], ["ScienceQA/test-0"]),
        ("scienceqa", ["ScienceQA-IMG/test-0", "ScienceQA-FULL/test-0"], ["ScienceQA-IMG/test-0"]),
        ("vizwiz", ["val/0", "val/1", "test/0"], ["val/0", "val/1"]),
        ("mmbench", ["dev-0", "notes"], ["dev-0"]),
        ("pope", ["0", "1"], ["0", "1"]),
        ("gqa", ["testdev/0", "train/0"], ["testdev/0"]),
    ],
)
def test_files_named_after_the_split_are_read_where_none_begins_with_the_part(
    tmp_path, task, files, wanted
):
    for name in files:
        touch(tmp_path, f"{name}.parquet")
    found = split_files(tmp_path, TASKS[task].part)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        f"{name}.parquet" for name in wanted
    ]


@pytest.mark.parametrize(
    ("task", "name", "split"),
    [
        ("textvqa", "data/train-0", "train"),
        ("mme", "val/0", "val"),
        ("gqa", "test-0", "test"),
        ("vizwiz", "val/test-0", "test"),
    ],
)
def test_one_wrong_split_is_refused(tmp_path, task, name, split):
    touch(tmp_path, f"{name}.parquet")
    with pytest.raises(QuestionDataError, match=rf"files of {split}, and none begins with"):
        split_files(tmp_path, TASKS[task].part)


@pytest.mark.parametrize(
    "files",
    [
        ["textvqa/data/validation-0", "vqav2/data/validation-0"],
        ["textvqa/val-0", "vqav2/val-0", "vqav2/val-1"],
        ["textvqa_val-0", "vqav2_val-0"],
    ],
)
def test_a_folder_above_two_sets_is_refused(tmp_path, files):
    for name in files:
        touch(tmp_path, f"{name}.parquet")
    with pytest.raises(QuestionDataError, match=r"of 2 sets, as in textvqa.* and vqav2.*-0.parq"):
        split_files(tmp_path, "data/validation")
