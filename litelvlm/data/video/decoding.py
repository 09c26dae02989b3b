"""Video files, decoded frame by frame with PyAV, which is an extra."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol

from PIL import Image

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg")
"""Suffixes of video files."""


class _Decoded(Protocol):
    """What is read of PyAV's ``VideoFrame``.

    Attributes:
        rotation: Degrees against the clock by which it is turned to be shown upright.
    """

    rotation: int

    def to_image(self) -> Image.Image:
        """The frame as an RGB picture."""


class VideoFile:
    """The first video stream of a file; frames are asked for in their order, and read once so.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is none.
        RuntimeError: If PyAV is missing.
        ValueError: If it cannot be decoded, or has no video.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"no such video: {path}")
        self.path, self._av = path, _pyav(path)
        # What a file says of its length may be wrong, so frames are counted.
        self._n = sum(1 for _ in self._decoded())
        self._next, self._frames = 0, self._decoded()

    def __len__(self) -> int:
        return self._n

    def frame(self, place: int) -> Image.Image:
        """One RGB frame, upright; one before the last one read is searched from the start."""
        if place < self._next:
            self._next, self._frames = 0, self._decoded()
        for decoded in self._frames:
            self._next += 1
            if self._next == place + 1:
                return decoded.to_image().rotate(decoded.rotation, expand=True)
        raise ValueError(
            f"{self.path} ends before frame {place}, and had {self._n}; is it changed?"
        )

    def _decoded(self) -> Iterator[_Decoded]:
        try:
            with self._av.open(str(self.path)) as container:
                if not container.streams.video:
                    raise ValueError(f"{self.path} has no video stream")
                yield from container.decode(video=0)
        except self._av.error.FFmpegError as error:
            raise ValueError(f"{self.path} cannot be decoded ({error.strerror})") from error


def _pyav(path: Path) -> ModuleType:
    try:
        return import_module("av")
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"{path} is a video file, and decoding it needs PyAV: pip install 'litelvlm[video]'; "
            f"or give a folder of its frames (ffmpeg -i {path.name} frames/%05d.png)"
        ) from error
