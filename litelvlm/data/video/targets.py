"""True masks of clips: maps of labels (PNG), or run lengths per object; read when asked for."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from litelvlm.arrays import NDArray
from litelvlm.data.annotations import RefDataError, parse_json
from litelvlm.data.dataset import Expression
from litelvlm.data.images import DAMAGED, why_unreadable
from litelvlm.data.refs import NO_TARGET
from litelvlm.data.safe.pickles import UnsafePickleError, loads_plain
from litelvlm.data.safe.rasterise import decode_mask
from litelvlm.data.safe.shown import shown
from litelvlm.data.video.expressions import ClipSentence
from litelvlm.metrics.pixels import IGNORE

Masks = UInt8[NDArray[np.uint8], "frames height width"]


class Targets(ABC):
    """The true masks of a split."""

    @abstractmethod
    def masks(
        self,
        clip: str,
        frames: tuple[str, ...],
        expression: Expression,
        size: tuple[int, int],
        places: tuple[int, ...],
    ) -> Masks:
        """Union of the objects that an expression means: 1 inside, 0 outside, 255 ignored.

        Args:
            clip: Name of the clip.
            frames: Names of all its frames.
            expression: The expression.
            size: Height and width of a frame.
            places: Of the frames that are asked for.

        Raises:
            RefDataError: If a mask is damaged or has another size, or an object is in no frame of
                its clip where labels say so.
            FileNotFoundError: If one is missing.
        """

    @abstractmethod
    def meant(self, sentence: ClipSentence) -> tuple[int, ...] | None:
        """Ids of the objects that an expression means; None where the table does not say.

        Raises:
            RefDataError: If an id is none that masks can have.
        """

    @abstractmethod
    def files(self, clip: str, frames: Sequence[str]) -> list[Path]:
        """Files that the masks of a clip come from."""


@dataclass(frozen=True)
class LabelMaps(Targets):
    """PNG files with the number of an object in each pixel, 255 where pixels are ignored.

    Attributes:
        folder: Holds a folder per clip.
    """

    folder: Path
    _numbers: dict[str, frozenset[int]] = field(default_factory=dict, repr=False, compare=False)

    def masks(
        self,
        clip: str,
        frames: tuple[str, ...],
        expression: Expression,
        size: tuple[int, int],
        places: tuple[int, ...],
    ) -> Masks:
        """As in the base class."""
        labels = _labels(self.folder / clip, tuple(frames[place] for place in places), size)
        for one in expression.ann_ids:
            if one != NO_TARGET and not (labels == one).any():
                self._require_shown(one, clip, frames, expression, size)
        meant = np.isin(np.arange(256), expression.ann_ids).astype(np.uint8)
        meant[IGNORE] = IGNORE
        masks: Masks = meant[labels]
        return masks

    def _require_shown(
        self,
        one: int,
        clip: str,
        frames: tuple[str, ...],
        expression: Expression,
        size: tuple[int, int],
    ) -> None:
        """Refuse an object that no frame of its clip shows: its number is of another release."""
        if clip not in self._numbers:
            paths = (self.folder / clip / f"{frame}.png" for frame in frames)
            found = (np.unique(_label_map(path, size)).tolist() for path in paths)
            self._numbers[clip] = frozenset().union(*found)
        if one not in self._numbers[clip]:
            raise RefDataError(
                f"{self.folder / clip}: no frame shows object {one}, which the expression "
                f"{expression.sent!r} means; take labels and expressions from the same release"
            )

    def meant(self, sentence: ClipSentence) -> tuple[int, ...] | None:
        """As in the base class."""
        for one in sentence.obj_id or ():
            if not 0 < one < IGNORE:
                raise RefDataError(f"obj_id {one} is no label; they go from 1 to {IGNORE - 1}")
        return sentence.obj_id

    def files(self, clip: str, frames: Sequence[str]) -> list[Path]:
        """As in the base class."""
        return [self.folder / clip / f"{frame}.png" for frame in frames]


@lru_cache(maxsize=1)  # the expressions of a clip are asked for one after the other
def _labels(folder: Path, frames: tuple[str, ...], size: tuple[int, int]) -> Masks:
    return np.stack([_label_map(folder / f"{frame}.png", size) for frame in frames])


def _label_map(path: Path, size: tuple[int, int]) -> UInt8[NDArray[np.uint8], "height width"]:
    if not path.is_file():
        raise FileNotFoundError(f"missing labels {path}; unpack the annotations of the data set")
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            if (picture.height, picture.width) != size:
                raise RefDataError(
                    f"{path} is {picture.width} x {picture.height} pixels, the frames "
                    f"{size[1]} x {size[0]}; take both from the same release"
                )
            if picture.mode not in ("P", "L", "1"):
                raise RefDataError(
                    f"{path} holds colours ({picture.mode}), expected the number of an object in "
                    "each pixel: a PNG with a palette, or a grey one"
                )
            return np.asarray(picture).astype(np.uint8)
    except RefDataError:
        raise
    except DAMAGED as error:
        raise RefDataError(f"{path} is not a readable PNG ({why_unreadable(error)})") from error


@dataclass(frozen=True)
class RunLengths(Targets):
    """A table of run lengths: per entry one record, or nothing, for every frame of a clip.

    Attributes:
        path: The table.
        entries: Records by the id of an object, or by the number of an expression in the split.
        by_sentence: Whether entries belong to expressions.
    """

    path: Path
    entries: Mapping[str, object] = field(repr=False)
    by_sentence: bool

    def masks(
        self,
        clip: str,
        frames: tuple[str, ...],
        expression: Expression,
        size: tuple[int, int],
        places: tuple[int, ...],
    ) -> Masks:
        """As in the base class."""
        keys = (expression.sent_id,) if self.by_sentence else expression.ann_ids
        total = np.zeros((len(places), *size), dtype=np.uint8)
        for key in keys:
            if key == NO_TARGET:
                continue
            records = self._entry(str(key), len(frames))
            for row, place in enumerate(places):
                record = records[place]
                try:
                    # A frame without the object has no record.
                    total[row] |= decode_mask([] if record is None else record, *size) > 0
                except RefDataError as error:
                    raise RefDataError(
                        f"{self.path}, entry {key}, frame {frames[place]} of {clip}: {error}"
                    ) from error
        return total

    def meant(self, sentence: ClipSentence) -> tuple[int, ...] | None:
        """As in the base class."""
        return sentence.obj_id if self.by_sentence else sentence.anno_id

    def _entry(self, key: str, n_frames: int) -> list[object]:
        entry = self.entries.get(key)
        if not isinstance(entry, list) or len(entry) != n_frames:
            has = f"{len(entry)} records" if isinstance(entry, list) else shown(entry)
            raise RefDataError(
                f"{self.path}, entry {key}: {has}, expected a record for each of {n_frames} frames"
            )
        return entry

    def files(self, clip: str, frames: Sequence[str]) -> list[Path]:
        """As in the base class; the table itself."""
        return [self.path]


def read_run_lengths(path: Path, wanted: Collection[int], n_sentences: int) -> RunLengths:
    """Read a table of run lengths, and keep what a split needs.

    Args:
        path: JSON, or a pickle of plain data as UniPixel's copies of Ref-DAVIS17 have it.
        wanted: Ids of objects that expressions mean; empty where the table of expressions names no
            entries, so that each expression has one of its own, numbered from 0 in file order.
        n_sentences: Expressions of the split.

    Raises:
        RefDataError: If it is no such table, or lacks an entry.
        UnsafePickleError: If a pickle holds anything but plain data.
    """
    content = path.read_bytes()
    try:
        table = parse_json(content, path) if path.suffix == ".json" else loads_plain(content)
    except (UnsafePickleError, pickle.UnpicklingError) as error:
        raise UnsafePickleError(f"{path} was not loaded: {error}") from error
    if not isinstance(table, dict):
        raise RefDataError(f"{path} is no table of masks: {shown(table)}")
    entries = {str(key): entry for key, entry in table.items()}
    if len(entries) < len(table):
        raise RefDataError(f"{path} has the same id as a number and as a text")
    if not wanted and len(entries) != n_sentences:
        raise RefDataError(
            f"{path} has {len(entries)} entries for {n_sentences} expressions that name none; take "
            "both from the same release"
        )
    needed = [str(key) for key in (wanted or range(n_sentences))]
    missing = [key for key in needed if key not in entries]
    if missing:
        raise RefDataError(
            f"{path} lacks the entry {missing[0]} that an expression names ({len(missing)} in "
            "all); take both from the same release"
        )
    return RunLengths(path, {key: entries[key] for key in needed}, not wanted)
