"""Frames of a user's clip: in their order, one at a time, and refused by name if damaged."""

import re
import struct
import weakref

import numpy as np
import pytest
from PIL import Image

from litelvlm.data.video import decoding
from litelvlm.data.video.frames import is_clip, open_frames

SIZE = (24, 16)


def picture(value, size=SIZE):
    return Image.new("RGB", size, (value, 255 - value, 0))


def value(frame):
    return int(np.asarray(frame)[..., 0].mean().round())


def folder(path, names=("1", "2", "10")):
    path.mkdir()
    for place, name in enumerate(names):
        picture(40 * place).save(path / f"{name}.png")
    return path


def test_a_folder_is_sorted_by_its_numbers(tmp_path):
    frames = open_frames(folder(tmp_path / "clip", ("frame10", "frame2", "frame1")))
    assert frames.names == ("frame1", "frame2", "frame10")
    assert [value(frame) for frame in frames] == [80, 40, 0]
    part = frames[1:]
    assert (len(part), value(part[0]), value(part[-1])) == (2, 40, 0)
    assert len(part[5:]) == 0


def test_frames_are_decoded_one_at_a_time(tmp_path):
    frames = open_frames(folder(tmp_path / "clip", map(str, range(12))))
    read = []
    for frame in frames[2:11]:
        read.append(weakref.ref(frame))
        assert sum(one() is not None for one in read) <= 2
    assert len(read) == 9


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animation_is_read_forwards_and_backwards(tmp_path, suffix):
    path = tmp_path / f"clip{suffix}"
    first, *others = [picture(50 * place) for place in range(4)]
    first.save(path, save_all=True, append_images=others, duration=50, lossless=True)
    assert is_clip(path)
    frames = open_frames(path)
    assert frames.names == ("00000", "00001", "00002", "00003")
    places = (0, 3, 1, 2, 0, 1, 0, 2, 1)
    found = [value(frames[place]) for place in places]
    assert found == pytest.approx([50 * place for place in places], abs=4)


def test_one_picture_is_no_clip(tmp_path):
    picture(3).save(tmp_path / "a.png")
    picture(3).save(tmp_path / "a.jpg")
    (tmp_path / "b.gif").write_bytes(b"GIF89a")
    assert not any(is_clip(tmp_path / name) for name in ("a.png", "a.jpg", "b.gif", "none.gif"))
    assert is_clip(tmp_path)
    assert is_clip(tmp_path / "a.mp4")


def test_what_is_no_clip_is_refused_by_name(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("none")
    with pytest.raises(ValueError, match=re.escape(f"{empty} has no frames; give a folder")):
        open_frames(empty)
    clip = folder(tmp_path / "clip")
    picture(0).save(clip / "2.jpg")
    with pytest.raises(ValueError, match=r"has two frames '2' that differ in their suffix"):
        open_frames(clip)
    (clip / "2.jpg").unlink()
    picture(0, (9, 9)).save(clip / "2.png")
    frames = open_frames(clip)
    with pytest.raises(ValueError, match=r"frame 2 is 9 x 9 pixels, the first one 24 x 16"):
        frames[1]
    (clip / "2.png").write_bytes(b"none")
    with pytest.raises(ValueError, match=re.escape(f"{clip / '2.png'}: not a readable image")):
        frames[1]
    (tmp_path / "script.gif").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(
        ValueError, match=r"script\.gif: not a readable animation \(no known format"
    ):
        open_frames(tmp_path / "script.gif")
    with pytest.raises(FileNotFoundError, match="no such clip"):
        open_frames(tmp_path / "none.gif")
    path = tmp_path / "cut.gif"
    first, *others = [Image.effect_noise((64, 64), 90) for _ in range(5)]
    first.save(path, save_all=True, append_images=others)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=re.escape(f"{path}")):
        [frame.load() for frame in open_frames(path)]


def test_a_video_file_names_the_extra_that_is_missing(tmp_path, monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    (tmp_path / "a.mp4").write_bytes(b"")
    monkeypatch.setattr(decoding, "import_module", absent)
    with pytest.raises(RuntimeError, match=r"pip install 'litelvlm\[video\]'; or give a folder"):
        open_frames(tmp_path / "a.mp4")
    with pytest.raises(FileNotFoundError, match="no such video"):
        open_frames(tmp_path / "b.mp4")


def video(path, frames):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_video_file_is_decoded(tmp_path):
    path = video(
        tmp_path / "a.mp4", [np.full((32, 32, 3), 30 * place, np.uint8) for place in range(7)]
    )
    frames = open_frames(path)
    assert (len(frames), frames.size) == (7, (32, 32))
    found = [value(frames[place]) for place in (0, 2, 5, 1, 6)]
    assert found == pytest.approx([0, 60, 150, 30, 180], abs=6)
    path.write_bytes(b"no video at all" * 50)
    with pytest.raises(ValueError, match=r"a\.mp4 cannot be decoded"):
        open_frames(path)


@pytest.mark.parametrize(
    ("matrix", "size", "bright"),
    [
        ((0, 1, -1, 0), (32, 64), (16, 3)),  # as a phone that was held upright writes it
        ((0, -1, 1, 0), (32, 64), (16, 60)),
        ((-1, 0, 0, -1), (64, 32), (60, 16)),
    ],
)
def test_a_video_file_is_turned_upright(tmp_path, matrix, size, bright):
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, :32] = 240
    path = video(tmp_path / "a.mp4", [pixels] * 2)
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    frame = open_frames(path)[1]
    assert frame.size == size
    assert frame.getpixel(bright)[0] > 200
    assert frame.getpixel((size[0] - 1 - bright[0], size[1] - 1 - bright[1]))[0] < 40
