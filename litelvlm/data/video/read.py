"""Read one split of clips from its files."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path

from litelvlm.data.annotations import RefDataError
from litelvlm.data.dataset import Expression
from litelvlm.data.images import image_size
from litelvlm.data.refs import NO_TARGET
from litelvlm.data.video.clips import ClipDataset, ClipSample, frame_path
from litelvlm.data.video.expressions import ClipRecord, read_expressions
from litelvlm.data.video.layout import CLIP_FAMILIES, ClipFiles, find_clips
from litelvlm.data.video.targets import LabelMaps, Targets, read_run_lengths

ANNOTATORS = ("annot1", "annot1_full_video", "annot2", "annot2_full_video")
"""Kinds of expressions of Ref-DAVIS17: two annotators saw the first frame, then the whole clip.

The table of a clip holds, object by object, one of each in this order.
"""


def load_clips(root: str | Path, dataset: str | None = None, split: str = "valid") -> ClipDataset:
    """Open one split of a data set of clips with referring expressions.

    Args:
        root: Folder of the data set, or one up to two levels above it; "embedded-moving" for
            clips of moving pictograms, which are made on first use and kept in the cache folder.
        dataset: "ref-davis17", "mevis", "ref-youtube-vos" or "revos"; may be left out if the
            folder's name says it.
        split: "train", "valid", and "valid_u" or "test" as the data set has them; embedded ones
            have "train", "val", "testA" and "testB".

    Raises:
        ValueError: If a name is unknown, the masks of the split are not published, or a file's
            content is wrong.
        FileNotFoundError: If a file is missing.
    """
    files = find_clips(root, dataset, split)
    records = read_expressions(files.expressions)
    targets = _targets(files, records, split)
    sent_ids, refs = count(), dict[tuple[str, tuple[int, ...]], int]()
    samples = []
    for number, (name, record) in enumerate(records.items()):
        kinds = _kinds(files.name, record)
        expressions = []
        for (key, sentence), kind in zip(record.expressions.items(), kinds, strict=True):
            try:
                ids = targets.meant(sentence)
                if ids is None:
                    raise RefDataError("it does not name its objects, and others do")
            except RefDataError as error:
                raise RefDataError(
                    f"{files.expressions}, clip {name}, expression {key}: {error}; fetch the table "
                    "again"
                ) from error
            meant = tuple(dict.fromkeys(ids)) or (NO_TARGET,)
            ref_id = refs.setdefault((name, meant), len(refs))
            expressions.append(Expression(next(sent_ids), ref_id, meant, (), sentence.exp, kind))
        width, height = _size(files, name, record)
        samples.append(
            ClipSample(
                number,
                name,
                height,
                width,
                tuple(record.frames),
                tuple(expressions),
                files.frames / name,
                targets,
            )
        )
    note = _count_note(files.name, split, len(samples))
    return ClipDataset(files.name, split, files.expressions, samples, note)


def _targets(files: ClipFiles, records: Mapping[str, ClipRecord], split: str) -> Targets:
    sentences = [one for record in records.values() for one in record.expressions.values()]
    if all(one.obj_id is None and one.anno_id is None for one in sentences):
        public = [name for name, n in CLIP_FAMILIES[files.name].clips.items() if n]
        raise ValueError(
            f"{files.expressions} does not say which objects its expressions mean: the masks of "
            f"{files.name} {split} are with its evaluation server; take split "
            f"{' or '.join(public)}, or `litelvlm segment` for masks without scores"
        )
    if files.masks is None:
        raise FileNotFoundError(
            f"missing masks of {files.name} {split}: expected mask_dict.json, mask_dict.pkl or a "
            f"folder Annotations beside {files.expressions}"
        )
    if files.masks.is_dir():
        return LabelMaps(files.masks)
    wanted = {ann_id for one in sentences for ann_id in one.anno_id or ()}
    return read_run_lengths(files.masks, wanted, len(sentences))


def _size(files: ClipFiles, name: str, record: ClipRecord) -> tuple[int, int]:
    """Width and height of the first frame."""
    path = frame_path(files.frames / name, record.frames[0])
    try:
        return image_size(path)
    except ValueError as error:
        raise RefDataError(f"{path}: not a readable image ({error})") from error


def _kinds(dataset: str, record: ClipRecord) -> list[str | None]:
    """Kinds of the expressions of a clip: the table's own, or known from their order."""
    sentences = list(record.expressions.values())
    groups = [sentences[i : i + len(ANNOTATORS)] for i in range(0, len(sentences), len(ANNOTATORS))]
    ordered = all(
        len(group) == len(ANNOTATORS) and len({one.obj_id for one in group}) == 1
        for group in groups
    )
    if dataset != "ref-davis17" or not ordered or any(one.kind for one in sentences):
        return [one.kind for one in sentences]
    return [kind for _ in groups for kind in ANNOTATORS]


def _count_note(dataset: str, split: str, n: int) -> str:
    published = CLIP_FAMILIES[dataset].clips[split]
    if n == published:
        return ""
    return f"{dataset} {split}: {n} clips, published are {published or 'an unknown number'}"
