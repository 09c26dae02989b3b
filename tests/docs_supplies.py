"""What a reader of the pages supplies, and embedded worlds small enough for their commands."""

import json
import pickle
import shutil
from dataclasses import replace
from functools import cache

import torch
from safetensors.torch import load_file, save_file

from litelvlm.analysis.studies.emergence import scenes
from litelvlm.data import load
from litelvlm.data.embedded import EMBEDDED as WORLDS
from litelvlm.data.embedded import EMBEDDED_CLIPS
from litelvlm.data.refer_writer import fill_refer
from litelvlm.data.video import layout
from litelvlm.models import families
from litelvlm.training.trainings.factors import Factors, Member
from litelvlm.training.trainings.train import train_member
from tests import tiny_unipixel
from tests.docs_commands import ROOT, blocks
from tests.glamm_parts import EMBEDDED
from tests.tiny_vlms.folder import write_tiny
from tests.unit import clip_tree
from tests.video_glamm_parts import clip_frames, write_folder

SMALL_WORLDS = {
    name: replace(world, seeds={split: seeds[:12] for split, seeds in world.seeds.items()})
    for name, world in WORLDS.items()
}
SMALL_CLIPS = {
    name: replace(world, seeds={split: seeds[:4] for split, seeds in world.seeds.items()})
    for name, world in EMBEDDED_CLIPS.items()
}
TRAINED = Factors(
    image="grid", width=16, text_depth=2, image_depth=2, categories=8, steps=2, batch=8
)


def remembering_families():
    """The table of model families, where each loads a model only once."""
    return {
        name: replace(family, load=cache(family.load)) for name, family in families.FAMILIES.items()
    }


def use_families(monkeypatch, table):
    """Let commands load models by another table."""
    monkeypatch.setattr(families, "FAMILIES", table)


def use_small_worlds(monkeypatch):
    """Let embedded worlds have 12 images or 4 clips in a split, and 24 to train a reader on."""
    monkeypatch.setattr(scenes, "SCENES", 24)
    monkeypatch.setattr(load, "EMBEDDED", SMALL_WORLDS)
    monkeypatch.setattr(layout, "EMBEDDED_CLIPS", SMALL_CLIPS)


def write_supplies(root):
    """Write what a reader supplies into a folder; the place of each by the name on the page."""
    world = WORLDS["embedded"]
    few = {split: [world.sample(split, seeds[i], world.level) for i in range(2)]
           for split, seeds in world.seeds.items() if split in ("val", "testA")}  # fmt: skip
    data = root / "refer" / "Refer_Segm"
    fill_refer(data, few, world.categories)
    grouped(data)
    own(data, root / "mine")
    published = shutil.copytree(EMBEDDED["embedded"], root / "published")
    torch.save(load_file(published / "model.safetensors"), published / "pytorch_model.bin")
    with_lora(published, root)
    (published / "model.safetensors").unlink()
    write_tiny("qwen2_5_vl", root / "qwen")
    tiny_unipixel.write_tiny(root / "unipixel")
    train_member(Member("C", "base", TRAINED, 0), root / "trainings", root / "trainings" / "scenes")
    (root / "VideoGLaMM").mkdir()
    write_folder(root / "VideoGLaMM")
    (root / "clip").mkdir()
    for number, frame in enumerate(clip_frames(3)):
        frame.save(root / "clip" / f"{number}.png")
    picture = data / "coco_2014" / "train2014"
    shutil.copy(next(picture.iterdir()), root / "photo")
    for name, page, begins in (
        ("mine.yaml", "own-hypotheses.md", "family:"),
        ("column.mplstyle", "figures.md", "# column.mplstyle"),
    ):
        shown = (block for block in blocks(ROOT / "docs" / page) if block[0].startswith(begins))
        (root / name).write_text("\n".join(next(shown)))
    model = EMBEDDED["embedded"]
    return {
        "path/to/GLaMM": model,
        "shared/GLaMM": model,
        "MODEL": model,
        "FOLDER/checkpoint": model,
        "MOVING/checkpoint": EMBEDDED["embedded-video"],
        "GLaMM-RefSeg": published,
        "trained": root / "trained",
        "adapter": root / "adapter",
        "path/to/Refer_Segm": data,
        "shared/Refer_Segm": data,
        "DATA": data,
        "data": data,
        "path/to/mine": root / "mine",
        "tiny/qwen": root / "qwen",
        "UniPixel-3B": root / "unipixel",
        "TOWERS/pictograms-plain-2/clip": model / "clip",
        "TOWERS/pictograms-helper-2/clip": EMBEDDED["embedded-shapes"] / "clip",
        "TRAININGS": root / "trainings",
        "VideoGLaMM": root / "VideoGLaMM",
        "clip": root / "clip",
        "MeViS": clip_tree.mevis(root / "mevis"),
        "photo.jpg": root / "photo",
        "photo.png": root / "photo",
        "mine.yaml": root / "mine.yaml",
        "column.mplstyle": root / "column.mplstyle",
        "benchmarks": ROOT / "benchmarks",
    }


def grouped(data):
    """Write the references as gRefCOCO has them: lists of objects, one of them with no target."""
    refs = pickle.loads((data / "refcoco" / "refs(unc).p").read_bytes())  # noqa: S301
    many = [ref | {"ann_id": [ref["ann_id"]], "category_id": [ref["category_id"]]} for ref in refs]
    last = max(ref["ref_id"] for ref in many) + 1
    sentence = {"sent_id": 10**6, "sent": "the missing thing", "raw": "the missing thing"}
    none = many[0] | {"ref_id": last, "ann_id": [-1], "category_id": [-1], "no_target": True}
    (data / "grefcoco").mkdir()
    shutil.copy(data / "refcoco" / "instances.json", data / "grefcoco")
    (data / "grefcoco" / "grefs(unc).json").write_text(
        json.dumps([*many, none | {"sentences": [sentence], "sent_ids": [10**6]}])
    )


def own(data, folder):
    """Write the references again as a reader's own: a folder of another name and split."""
    shutil.copytree(data / "coco_2014" / "train2014", folder / "images")
    shutil.copy(data / "refcoco" / "instances.json", folder)
    refs = pickle.loads((data / "refcoco" / "refs(unc).p").read_bytes())  # noqa: S301
    (folder / "refs.json").write_text(json.dumps([ref | {"split": "test"} for ref in refs]))


def with_lora(published, root):
    """Write what trainings with a LoRA leave: a checkpoint with it inside, and an adapter alone."""
    tensors = load_file(published / "model.safetensors")
    place = "model.layers.0.self_attn.q_proj"
    rows, columns = tensors[f"{place}.weight"].shape
    parts = {"A": torch.ones(2, columns), "B": torch.ones(rows, 2)}
    inside = {f"{place}.lora_{name}.default.weight": part for name, part in parts.items()}
    (root / "trained").mkdir()
    torch.save(tensors | inside, root / "trained" / "pytorch_model.bin")
    (root / "adapter").mkdir()
    alone = {f"base_model.model.{place}.lora_{name}.weight": part for name, part in parts.items()}
    save_file(alone, root / "adapter" / "adapter_model.safetensors")
    (root / "adapter" / "adapter_config.json").write_text('{"r": 2, "lora_alpha": 4}')
