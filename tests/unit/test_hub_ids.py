"""Names of the hub, and what is a path instead."""

from pathlib import Path

import pytest

from litelvlm.hub_ids import is_hub_id


@pytest.mark.parametrize(
    "name", ["openai/clip-vit-base-patch32", "MBZUAI/GLaMM-RefSeg", "a1/b_c.d"]
)
def test_names_of_the_hub(name):
    assert is_hub_id(name)


@pytest.mark.parametrize(
    "name",
    [
        "embedded",
        "./a/b",
        "/a",
        "~/a",
        "a/b/c",
        "a/",
        "/b",
        "../b",
        "open_clip:ViT-B-16/openai",
        "",
        Path("openai/clip"),
    ],
)
def test_paths_and_other_names(name):
    assert not is_hub_id(name)


def test_a_name_whose_first_part_is_here_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_hub_id("data/refcoco")
    (tmp_path / "data").mkdir()
    assert not is_hub_id("data/refcoco")
