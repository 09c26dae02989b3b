"""Frames of one clip of a user's: a folder of pictures, an animation, or a video file."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import overload

from PIL import Image

from litelvlm.data.images import DAMAGED, FORMATS, open_image, to_rgb, why_unreadable
from litelvlm.data.video.decoding import VIDEOS, VideoFile

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".avif", ".jp2", ".ppm", ".tif", ".tiff")
"""Suffixes of the frames in a folder."""
ANIMATIONS = (".gif", ".webp", ".avif", ".png", ".apng")
"""Suffixes of pictures that may hold several frames."""


@dataclass(frozen=True)
class ClipFrames(Sequence[Image.Image]):
    """Frames of a clip, each decoded when it is asked for; a slice is one, too.

    Attributes:
        path: Where they come from.
        names: Of all frames, in their order.
        read: From the place of a frame to the frame.
        size: Width and height of the first one, which all have.
        places: Of those that are meant.
    """

    path: Path
    names: tuple[str, ...]
    read: Callable[[int], Image.Image] = field(repr=False)
    size: tuple[int, int]
    places: range

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(  # type: ignore[explicit-any]  # a slice has no types at run time
        self, index: slice
    ) -> "ClipFrames": ...
    def __getitem__(  # type: ignore[explicit-any]  # a slice has no types at run time
        self, index: int | slice
    ) -> "Image.Image | ClipFrames":
        if isinstance(index, slice):
            return replace(self, places=self.places[index])
        place = self.places[index]
        frame = self.read(place)
        if frame.size != self.size:
            raise ValueError(
                f"{self.path}: frame {self.names[place]} is {frame.width} x {frame.height} pixels, "
                f"the first one {self.size[0]} x {self.size[1]}; all frames of a clip must have "
                "one size"
            )
        return frame


def is_clip(path: Path) -> bool:
    """Whether a path is a folder, a video file, or a picture of several frames."""
    if path.is_dir() or path.suffix.lower() in VIDEOS:
        return True
    if path.suffix.lower() not in ANIMATIONS or not path.is_file():
        return False
    try:
        with Image.open(path, formats=FORMATS) as picture:
            return getattr(picture, "n_frames", 1) > 1
    except DAMAGED:
        return False


def open_frames(path: Path) -> ClipFrames:
    """Open a clip; of the frames only the first one is read.

    Args:
        path: A folder of pictures, whose numbers are sorted as numbers; an animation (GIF, WebP,
            AVIF or PNG); or a video file, for which the extra `video` is needed.

    Raises:
        FileNotFoundError: If there is nothing.
        ValueError: If there is no frame, two frames have one name, or the first one is damaged.
        RuntimeError: If a video file cannot be decoded here.
    """
    if path.is_dir():
        names, read = _folder(path)
    elif path.suffix.lower() in VIDEOS:
        video = VideoFile(path)
        names, read = _numbers(len(video)), video.frame
    else:
        names, read = _animation(path)
    if not names:
        raise ValueError(f"{path} has no frames; give a folder of pictures, or another file")
    return ClipFrames(path, names, read, read(0).size, range(len(names)))


def _numbers(n: int) -> tuple[str, ...]:
    return tuple(f"{place:05d}" for place in range(n))


def _folder(path: Path) -> tuple[tuple[str, ...], Callable[[int], Image.Image]]:
    def key(file: Path) -> list[str | tuple[int, str]]:
        parts = re.split(r"(\d+)", file.name)
        return [part if i % 2 == 0 else (int(part), part) for i, part in enumerate(parts)]

    found = [file for file in path.iterdir() if file.suffix.lower() in PICTURES]
    files = sorted((file for file in found if file.is_file()), key=key)
    names = tuple(file.stem for file in files)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{path} has two frames {twice[0]!r} that differ in their suffix; leave one of them"
        )
    return names, lambda place: open_image(files[place])


def _animation(path: Path) -> tuple[tuple[str, ...], Callable[[int], Image.Image]]:
    if not path.is_file():
        raise FileNotFoundError(f"no such clip: {path}")

    def damaged(error: Exception, where: str = "") -> ValueError:
        return ValueError(f"{path}{where}: not a readable animation ({why_unreadable(error)})")

    content = path.read_bytes()

    def opened() -> Image.Image:
        return Image.open(BytesIO(content), formats=FORMATS)

    try:
        picture = opened()
        names = _numbers(getattr(picture, "n_frames", 1))
    except DAMAGED as error:
        raise damaged(error) from error

    def read(place: int) -> Image.Image:
        nonlocal picture
        try:
            if place < picture.tell():  # Pillow loses count of PNG frames when it is wound back
                picture = opened()
            picture.seek(place)
            return to_rgb(picture.copy())
        except DAMAGED as error:
            raise damaged(error, f", frame {names[place]}") from error

    return names, read
