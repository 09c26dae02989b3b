"""What a published table needs from the hub, under each name it is known by."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Literal

from litelvlm.clip.openai import OPENAI_CLIP
from litelvlm.data.hub import split_of

Kind = Literal["model", "dataset"]
_TEXT_SUFFIXES = (".json", ".model", ".txt")
_WEIGHT_SUFFIXES = (".safetensors", ".bin")


@dataclass(frozen=True)
class Asset:
    """One repository of the hub.

    Attributes:
        role: What it is for: "checkpoint" (a GLaMM's), "clip", or the name of another family or
            of a data set.
        kind: "model" or "dataset".
        names: Hub ids that hold the same files; the first one that exists is taken.
        terms: What a licence on the hub does not say.
        archive: File that holds a data set packed; empty where it lies in Parquet files.
    """

    role: str
    kind: Kind
    names: tuple[str, ...]
    terms: str
    archive: str = ""


CHECKPOINT = Asset(
    "checkpoint",
    "model",
    ("MBZUAI/GLaMM-RefSeg",),
    "built on LLaMA (Vicuna) and SAM, whose own licences hold as well",
)
CLIP = Asset("clip", "model", (OPENAI_CLIP,), "OpenAI's model card states the intended use")
MODELS: Mapping[str, tuple[Asset, ...]] = MappingProxyType(
    {
        "glamm": (CHECKPOINT, CLIP),
        "video_glamm": (
            Asset(
                "video_glamm",
                "model",
                ("MBZUAI/VideoGLaMM",),
                "built on Phi-3, InternVideo2 and SAM2, whose own licences hold as well",
            ),
            CLIP,
        ),
        "unipixel": (
            Asset(
                "unipixel",
                "model",
                ("PolyU-ChenLab/UniPixel-3B",),
                "built on Qwen2.5-VL and SAM2, whose own licences hold as well",
            ),
        ),
    }
)
"""What a model needs, by its family; the checkpoint first."""
_COCO = "pictures from Flickr, by COCO's terms of use; expressions by the authors of RefCOCO"
# The organisation renamed itself; each name may stop leading to the other.
_OWNERS = ("lmms-lab-encoder", "lmms-lab")
_CLIPS = "frames and masks by the terms of DAVIS and of ReVOS, expressions by their authors"
# Likewise; sizes and names are those of its page.
_CLIP_NAMES = ("OMG-Research/video-res", "Dense-World/video-res")
DATA: Mapping[str, Asset] = MappingProxyType(
    {
        "ref-davis17": Asset("ref-davis17", "dataset", _CLIP_NAMES, _CLIPS, "davis17.zip"),
        "revos": Asset("revos", "dataset", _CLIP_NAMES, _CLIPS, "revos.zip"),
    }
    | {
        dataset: Asset(dataset, "dataset", tuple(f"{owner}/{name}" for owner in _OWNERS), _COCO)
        for dataset, name in (
            ("refcoco", "RefCOCO"),
            ("refcoco+", "RefCOCOplus"),
            ("refcocog", "RefCOCOg"),
        )
    }
)
"""Mirrors of the data sets, by data set."""


def wanted_files(asset: Asset, paths: Collection[str], splits: Collection[str]) -> tuple[str, ...]:
    """The files of a repository that are needed, in order of their names.

    Of a model: configuration, tokenizer and weights at its top, and of two forms of the same
    weights only safetensors. Of a data set: its archive, or the Parquet files of the splits.

    Args:
        asset: The repository.
        paths: Every file it holds.
        splits: Splits of the data set.

    Example:
        >>> wanted_files(CLIP, ["config.json", "pytorch_model.bin", "tf_model.h5"], ())
        ('config.json', 'pytorch_model.bin')
    """
    places = [PurePosixPath(path) for path in sorted(paths)]
    if asset.archive:
        return tuple(path for path in paths if path == asset.archive)
    if asset.kind == "dataset":
        tables = [p for p in places if p.suffix == ".parquet" and p.parent.name in ("", "data")]
        return tuple(str(path) for path in tables if split_of(path) in splits)
    top = [path for path in places if len(path.parts) == 1]
    safe = any(path.suffix == _WEIGHT_SUFFIXES[0] for path in top)
    weights = _WEIGHT_SUFFIXES[:1] if safe else _WEIGHT_SUFFIXES
    skipped = ".bin.index.json" if safe else "\0"
    return tuple(
        str(path)
        for path in top
        if path.suffix in (*_TEXT_SUFFIXES, *weights) and not path.name.endswith(skipped)
    )
