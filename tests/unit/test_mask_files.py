"""Masks as files."""

import errno

import numpy as np
import pytest
from PIL import Image

from litelvlm.data.files import atomic_write
from litelvlm.data.mask_files import write_masks


def test_masks_are_white_on_black_and_numbered_if_there_are_several(tmp_path):
    masks = np.array([[[True, False]], [[False, True]]])
    one = write_masks(tmp_path / "new" / "mask.png", masks[:1])
    assert one == (tmp_path / "new" / "mask.png",)
    assert np.asarray(Image.open(one[0])).tolist() == [[255, 0]]
    two = write_masks(str(tmp_path / "mask.png"), masks)
    assert [path.name for path in two] == ["mask-1.png", "mask-2.png"]
    assert np.asarray(Image.open(two[1])).tolist() == [[0, 255]]


def test_a_form_with_losses_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"mask.jpg must end in .png"):
        write_masks(tmp_path / "mask.jpg", np.ones((1, 2, 2), dtype=bool))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_files_is_named_and_not_the_temporary_one(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(errno.ENOENT, "No such file or directory", str(tmp_path / ".x.incomplete"))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(FileNotFoundError, match="cannot be written") as found:
        atomic_write(tmp_path / "mask.png", b"")
    assert found.value.filename == str(tmp_path / "mask.png")
