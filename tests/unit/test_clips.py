"""Clips with expressions: every published layout gives the same masks, or says why not."""

import json
import os
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from litelvlm import load_clips
from litelvlm.analysis.cli.actions import loading
from litelvlm.analysis.cli.actions.data_check import check_references
from litelvlm.analysis.cli.options import DataOptions
from litelvlm.analysis.inputs.samples import askable
from litelvlm.data.annotations import RefDataError
from litelvlm.data.video.layout import holds_clips
from tests.unit import clip_tree as tree


def targets(sample, *meant):
    frames = range(len(tree.FRAMES))
    return np.stack([np.isin(tree.labels(sample.name, frame), meant) for frame in frames])


def edited(path, change):
    """Change a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("make", [tree.davis, tree.davis_with_pickle])
def test_davis_has_four_kinds_of_expressions_per_object(tmp_path, make):
    data = load_clips(make(tmp_path / "ref-davis" / "2017"))
    assert (data.name, data.split, len(data), data.n_expressions) == ("ref-davis17", "valid", 2, 12)
    bear, dogs = data
    assert (dogs.frames, dogs.height, dogs.width) == (3, tree.HEIGHT, tree.WIDTH)
    assert [e.kind for e in bear.expressions] == [
        "annot1", "annot1_full_video", "annot2", "annot2_full_video",
    ]  # fmt: skip
    assert [e.sent_id for sample in data for e in sample.expressions] == list(range(12))
    for sample in data:
        for expression in sample.expressions:
            label = int(expression.sent.split()[1])
            assert expression.ann_ids == (label,)
            found = sample.masks(expression)
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found, targets(sample, label))
    assert len({e.ref_id for sample in data for e in sample.expressions}) == 3
    assert dogs.frame(1).size == (tree.WIDTH, tree.HEIGHT)
    assert data.count_note == "ref-davis17 valid: 2 clips, published are 30"


def test_kinds_that_a_table_states_are_kept(tmp_path):
    def state(table):
        for number, one in table["videos"]["bear"]["expressions"].items():
            one["kind"] = f"mine {number}"

    folder = tree.davis(tmp_path / "davis")
    edited(folder / "meta_expressions" / "valid" / "meta_expressions.json", state)
    bear, dogs = load_clips(folder)
    assert [e.kind for e in bear.expressions] == [f"mine {number}" for number in range(4)]
    assert dogs.expressions[0].kind == "annot1"


@pytest.mark.parametrize(
    ("make", "split"), [(tree.mevis, "valid_u"), (tree.mevis, "train"), (tree.revos, "valid")]
)
def test_expressions_may_mean_several_objects_or_none(tmp_path, make, split):
    folder = tmp_path / ("MeViS_release" if make is tree.mevis else "ReVOS")
    make(folder, split) if make is tree.mevis else make(folder)
    data = load_clips(tmp_path, split=split)
    (bear, dogs), meant = data, {(7,): (1,), (8,): (1,), (-1,): (), (8, 9): (1, 2)}
    assert [e.ann_ids for e in dogs.expressions] == [(8,), (-1,), (8, 9)]
    for sample in (bear, dogs):
        for expression in sample.expressions:
            expected = targets(sample, *meant[expression.ann_ids])
            np.testing.assert_array_equal(sample.masks(expression), expected)


def test_pixels_that_stand_twice_in_a_frame_are_inside(tmp_path):
    def double(found):
        found["7"] = [record and [record, record] for record in found["7"]]

    edited(tree.mevis(tmp_path / "mevis") / "valid_u/mask_dict.json", double)
    bear = load_clips(tmp_path / "mevis", split="valid_u")[0]
    np.testing.assert_array_equal(bear.masks(bear.expressions[0]), targets(bear, 1))


@pytest.mark.parametrize("suffix", [".jpeg", ".JPG"])
def test_frames_of_any_spelling_are_found(suffix, tmp_path):
    data = load_clips(tree.davis(tmp_path / "davis"))
    before = np.asarray(data[0].frame(0))
    frame = data[0].folder / f"{tree.FRAMES[0]}.jpg"
    frame.rename(frame.with_suffix(suffix))
    np.testing.assert_array_equal(np.asarray(data[0].frame(0)), before)


def test_frames_and_masks_are_read_when_they_are_asked_for(tmp_path):
    data = load_clips(tree.davis(tmp_path / "davis"))
    sample = data[1]
    last = sample.folder / f"{tree.FRAMES[-1]}.jpg"
    last.unlink()
    assert sample.clip[0].size == (tree.WIDTH, tree.HEIGHT)
    with pytest.raises(FileNotFoundError, match=f"missing frame {re.escape(str(last))}; unpack"):
        sample.frame(2)
    with pytest.raises(ValueError, match=r"1 of 2 of 2 clips read cannot be used: .*missing frame"):
        check_references(data, every_image=True)


def test_ignored_pixels_stay_ignored(tmp_path):
    data = load_clips(tree.davis(tmp_path / "davis"))
    path = tmp_path / "davis/valid/Annotations/bear" / f"{tree.FRAMES[1]}.png"
    changed = tree.labels("bear", 1)
    changed[0, :4] = 255
    Image.fromarray(changed).save(path)
    masks = data[0].masks(data[0].expressions[0])
    assert (masks[1, 0, :4] == 255).all()
    assert masks[0].max() == 1


def test_a_digest_follows_frames_masks_and_expressions(tmp_path):
    def digest():
        return load_clips(tmp_path / "davis").digest

    tree.davis(tmp_path / "davis")
    digests = [digest()]
    frames = tmp_path / "davis/valid/JPEGImages"
    one, other = (frames / clip / f"{tree.FRAMES[0]}.jpg" for clip in tree.CLIPS)
    swapped = one.read_bytes(), other.read_bytes()
    other.write_bytes(swapped[0])
    one.write_bytes(swapped[1])
    digests.append(digest())
    label = tmp_path / "davis/valid/Annotations/bear" / f"{tree.FRAMES[0]}.png"
    Image.fromarray(tree.labels("bear", 1)).save(label)
    digests.append(digest())
    table = tmp_path / "davis/meta_expressions/valid/meta_expressions.json"
    edited(table, lambda found: found["videos"]["bear"]["expressions"]["0"].update(exp="it"))
    digests.append(digest())
    assert len(set(digests)) == 4


def clip(found, name="bear"):
    return found["videos"][name]


HOSTILE = {
    "no frames": (lambda found: clip(found).update(frames=[]), "videos.bear.frames: List should"),
    "frame twice": (
        lambda found: clip(found)["frames"].append(tree.FRAMES[0]),
        "the frame '00000' stands twice in one clip",
    ),
    "frame outside": (
        lambda found: clip(found).update(frames=["../../secret"]),
        "a file name leaves the image folder",
    ),
    "clip outside": (
        lambda found: found["videos"].update({"../x": clip(found)}),
        "a file name leaves the image folder",
    ),
    "no objects": (
        lambda found: clip(found)["expressions"]["0"].pop("obj_id"),
        "clip bear, expression 0: it does not name its objects, and others do",
    ),
    "label 0": (
        lambda found: clip(found)["expressions"]["0"].update(obj_id="0"),
        "clip bear, expression 0: obj_id 0 is no label; they go from 1 to 254",
    ),
    "truth as id": (
        lambda found: clip(found)["expressions"]["0"].update(obj_id=True),
        "videos.bear.expressions.0.obj_id.0: Input should be a valid integer",
    ),
    "no expressions": (
        lambda found: [one.update(expressions={}) for one in found["videos"].values()],
        "has no expression",
    ),
    "another form": (lambda found: found.update(videos=[]), "malformed record: videos"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_damaged_table_of_expressions_is_refused_by_entry(tmp_path, kind):
    change, message = HOSTILE[kind]
    table = tree.davis(tmp_path / "davis") / "meta_expressions/valid/meta_expressions.json"
    edited(table, change)
    with pytest.raises(RefDataError, match=re.escape(message)) as refused:
        load_clips(tmp_path / "davis")
    assert str(table) in str(refused.value)


def test_an_id_that_stands_twice_is_refused(tmp_path):
    table = tree.davis(tmp_path / "davis") / "meta_expressions/valid/meta_expressions.json"
    table.write_text(table.read_text().replace('"1": {"exp"', '"0": {"exp"', 1))
    with pytest.raises(RefDataError, match="the key '0' stands twice in one object"):
        load_clips(tmp_path / "davis")


DAMAGED_MASKS = {
    "missing entry": (lambda found: found.pop("9"), "lacks the entry 9 that an expression names"),
    "short entry": (lambda found: found["8"].pop(), "entry 8: 2 records, expected a record for"),
    "no list": (lambda found: found.update({"8": 5}), "entry 8: 5, expected a record for each"),
    "other size": (
        lambda found: found["8"][0].update(size=[3, 4]),
        "entry 8, frame 00000 of two-dogs: a run-length outline has size [3, 4]",
    ),
    "cut off": (lambda found: found["8"][0].update(counts="0"), "entry 8, frame 00000 of two-dogs"),
}


@pytest.mark.parametrize("kind", DAMAGED_MASKS)
def test_damaged_run_lengths_are_refused_by_entry(tmp_path, kind):
    change, message = DAMAGED_MASKS[kind]
    edited(tree.mevis(tmp_path / "mevis") / "valid_u/mask_dict.json", change)

    def masks():
        sample = load_clips(tmp_path / "mevis", split="valid_u")[1]
        return [sample.masks(expression) for expression in sample.expressions]

    with pytest.raises(RefDataError, match=re.escape(message)):
        masks()


def test_labels_that_are_none_are_refused_by_file(tmp_path):
    data = load_clips(tree.davis(tmp_path / "davis"))
    sample, folder = data[0], tmp_path / "davis/valid/Annotations/bear"
    path = folder / f"{tree.FRAMES[1]}.png"
    for picture, message in (
        (Image.new("RGB", (tree.WIDTH, tree.HEIGHT)), "holds colours (RGB), expected the number"),
        (Image.new("L", (9, 9)), "is 9 x 9 pixels, the frames 30 x 20"),
    ):
        picture.save(path)
        with pytest.raises(RefDataError, match=re.escape(f"{path} {message}")):
            sample.masks(sample.expressions[0])
    path.write_bytes(b"no picture")
    with pytest.raises(RefDataError, match=re.escape(f"{path} is not a readable PNG")):
        sample.masks(sample.expressions[0])
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"missing labels {path}")):
        sample.masks(sample.expressions[0])


def test_frames_of_another_size_are_refused_by_file(tmp_path):
    data = load_clips(tree.davis(tmp_path / "davis"))
    path = data[0].folder / f"{tree.FRAMES[2]}.jpg"
    Image.new("RGB", (8, 9)).save(path)
    with pytest.raises(RefDataError, match=r"is 8 x 9 pixels, the first frame of the clip 30 x 20"):
        data[0].frame(2)
    path.write_bytes(b"\xff\xd8 cut off")
    with pytest.raises(ValueError, match=re.escape(f"{path}: not a readable image")):
        data[0].frame(2)


def test_a_split_whose_masks_are_secret_is_refused(tmp_path):
    table = tree.mevis(tmp_path / "mevis", "valid") / "valid/meta_expressions.json"

    def hide(found):
        for one in found["videos"].values():
            for expression in one["expressions"].values():
                del expression["obj_id"], expression["anno_id"]

    edited(table, hide)
    with pytest.raises(ValueError, match="are with its evaluation server; take split train or val"):
        load_clips(tmp_path / "mevis", split="valid")


def test_names_and_folders_that_fit_nothing_are_refused(tmp_path):
    tree.davis(tmp_path / "davis")
    tree.mevis(tmp_path / "mevis", "valid")
    with pytest.raises(ValueError, match=r"holds .*davis, .*mevis; pass dataset= one of"):
        load_clips(tmp_path)
    assert load_clips(tmp_path, "ref-davis17").name == "ref-davis17"
    with pytest.raises(ValueError, match="split of mevis"):
        load_clips(tmp_path, "mevis", "val")
    with pytest.raises(FileNotFoundError, match="holds no expressions of split 'train' of mevis"):
        load_clips(tmp_path, "mevis", "train")
    os.rename(tmp_path / "davis", tmp_path / "x")
    with pytest.raises(ValueError, match="does not say which data set it is; pass dataset="):
        load_clips(tmp_path / "x")
    assert holds_clips(tmp_path / "x", None)
    assert not holds_clips("embedded", None)
    assert not holds_clips(tmp_path / "x", "refcoco")


def test_pickles_with_code_are_refused(tmp_path):
    root = tree.davis_with_pickle(tmp_path / "davis")
    (root / "valid/mask_dict.pkl").write_bytes(pickle.dumps({"0": os.getcwd}))
    with pytest.raises(ValueError, match=r"mask_dict\.pkl was not loaded"):
        load_clips(root)


def test_an_expression_without_words_is_counted(tmp_path):
    table = tree.davis(tmp_path / "davis") / "meta_expressions/valid/meta_expressions.json"
    edited(table, lambda found: clip(found)["expressions"]["0"].update(exp=" "))
    kept, reasons = askable(load_clips(tmp_path / "davis")[0])
    assert (len(kept.expressions), reasons) == (3, ("expression without words",))


def test_commands_open_clips_by_folder_or_by_name(tmp_path):
    tree.mevis(tmp_path / "mevis")
    verb = DataOptions(data=str(tmp_path), dataset="mevis", split="valid_u")
    assert loading.data_of(verb).name == "mevis"
    with pytest.raises(ValueError, match="--split-by unc goes with RefCOCO"):
        loading.data_of(replace(verb, split_by="unc"))


def test_an_object_that_no_frame_shows_is_refused_by_clip_and_object(tmp_path):
    """It is another release's number, and no expression without an object."""
    folder = tree.davis(tmp_path / "davis")
    table = folder / "meta_expressions/valid/meta_expressions.json"
    found = json.loads(table.read_text())
    found["videos"]["bear"]["expressions"]["0"]["obj_id"] = "7"
    table.write_text(json.dumps(found))
    data = load_clips(folder)
    first, second, *_ = data[0].expressions
    with pytest.raises(RefDataError, match=r"bear: no frame shows object 7.*'object 1 of bear'"):
        data[0].masks(first)
    assert data[0].masks(second).any()
