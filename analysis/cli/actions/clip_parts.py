"""Masks of a clip in parts: what was asked, what is finished, and one part more."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from litelvlm.analysis.cli.actions.segmenting import segment, selections_of
from litelvlm.analysis.cli.verbs.segment import Segment
from litelvlm.analysis.runs.origin.provenance import model_identity
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.data.content import content_digest
from litelvlm.data.files import atomic_write
from litelvlm.data.mask_files import write_masks
from litelvlm.data.video.frames import ClipFrames
from litelvlm.models.base import GroundingModel
from litelvlm.pruning import Pruner
from litelvlm.pruning.outside.own_code import method_digests
from litelvlm.version import __version__

RECORD = "masks.json"
"""What was asked, and what came of each finished part."""


class Part(Frozen):
    """One finished part of a clip.

    Attributes:
        answers: What the model answered to each expression.
        found: Whether each answer holds [SEG], so that there are masks.
        pixels: Size of each expression's masks, over the frames of the part.
        frames: In how many frames each expression was found.
        n_kept: Visual tokens that entered the language model, for each expression.
        n_tokens: Visual tokens before pruning.
        seconds: Time of the model's work.
        unknown_words: Words that the model never read.
    """

    answers: tuple[str, ...]
    found: tuple[bool, ...]
    pixels: tuple[int, ...]
    frames: tuple[int, ...]
    n_kept: tuple[int, ...]
    n_tokens: int
    seconds: float
    unknown_words: tuple[str, ...]


class Record(Frozen):
    """What was asked, and the finished parts by their first frame."""

    asked: dict[str, object]
    parts: dict[int, Part]


def settings(
    verb: Segment, model: GroundingModel, frames: ClipFrames, pruner: Pruner | None
) -> dict[str, object]:
    """Everything that masks depend on; a folder holds the masks of one such set."""
    file = verb.image
    files = sorted(path for path in file.iterdir() if path.is_file()) if file.is_dir() else [file]
    asked = {
        name: getattr(verb, name)
        for name in (
            *("text", "pruner", "budget", "protocol", "answer", "question_index", "answer_index"),
            *("seed", "clip_frames", "options"),
        )
    }
    found = {
        "version": __version__,
        "model": model_identity(model),
        "code of the method": method_digests([pruner] if pruner else []),
        "clip": content_digest(files),
        "frames": len(frames),
        "names": sha256("\n".join(frames.names).encode()).hexdigest(),
    }
    plain: dict[str, object] = json.loads(json.dumps(asked | found))
    return plain


def finished_parts(folder: Path, asked: Mapping[str, object]) -> dict[int, Part]:
    """Parts that an earlier call of the same command left, by their first frame.

    Raises:
        ValueError: If the folder holds masks of another command, or its record is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        record = Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{path} is damaged; name another --out, or remove {folder}") from error
    differing = [name for name in asked if record.asked.get(name) != asked[name]]
    if differing:
        raise ValueError(
            f"{folder} holds masks of another command: {', '.join(differing)} differ; name another "
            "--out"
        )
    return record.parts


def write_record(folder: Path, asked: dict[str, object], parts: dict[int, Part]) -> None:
    """Keep what was finished."""
    record = Record(asked=asked, parts=parts)
    atomic_write(folder / RECORD, record.model_dump_json(indent=1))


def segment_part(
    verb: Segment, model: GroundingModel, part: ClipFrames, pruner: Pruner | None
) -> Part:
    """Write the masks of some frames; the frames are read as the model asks for them."""
    result = segment(verb, model, part, pruner)
    masks = result.masks.cpu().numpy()
    for e, of_frames in enumerate(masks):
        for name, mask in zip(named(part), of_frames, strict=True):
            write_masks(mask_file(verb, e, name), mask[None])
    width, height = part.size
    layout = model.clip_view(height, width, len(part)).layout
    kept = [None if one is None else len(one) for one in selections_of(result)]
    return Part(
        answers=result.answers,
        found=result.found,
        pixels=tuple(masks.sum(axis=(1, 2, 3)).tolist()),
        frames=tuple(masks.any(axis=(2, 3)).sum(axis=1).tolist()),
        n_kept=tuple(model.language_tokens(layout, n) for n in kept),
        n_tokens=model.language_tokens(layout),
        seconds=sum(result.timings.values()),
        unknown_words=result.unknown_words,
    )


def named(part: ClipFrames) -> Sequence[str]:
    """Names of the frames of a part."""
    return [part.names[place] for place in part.places]


def mask_file(verb: Segment, expression: int, name: str) -> Path:
    """File of one mask, in the folder of its expression."""
    return verb.mask_folders[expression] / f"{name}.png"
