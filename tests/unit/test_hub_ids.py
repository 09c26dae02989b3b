"""Names of the hub, and what is a path instead."""

import pytest

from litelvlm.hub_ids import is_hub_id


@pytest.mark.parametrize(
    "name", ["openai/clip-vit-base-patch32", "MBZUAI/GLaMM-RefSeg", "a1/b_c.d"]
)
def test_names_of_the_hub(name):
    assert is_hub_id(name)


@pytest.mark.parametrize("name", ["embedded", "open_clip:ViT-B-16/openai", "", "/b", "a/b/c"])
def test_other_names(name):
    assert not is_hub_id(name)


def test_a_name_whose_first_part_is_here_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_hub_id("data/refcoco")
    (tmp_path / "data").mkdir()
    assert not is_hub_id("data/refcoco")
