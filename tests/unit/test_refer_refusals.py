"""What the REFER reader refuses, and how it says so."""

import json
import re
from time import process_time

import pytest
from PIL import Image
from refer_tree import SQUARE, RefDataError, annotation, make_tree, ref

from litelvlm import load_refer
from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.pickles import UnsafePickleError


def test_unknown_names_list_the_choices(tmp_path):
    make_tree(tmp_path, [ref()])
    with pytest.raises(ValueError, match=r"unknown dataset 'refcok'.*refcoco"):
        load_refer(tmp_path, dataset="refcok")
    with pytest.raises(ValueError, match=r"unknown split of refcoco \(unc\) 'test'.*testA"):
        load_refer(tmp_path, dataset="refcoco", split="test")
    with pytest.raises(ValueError, match=r"unknown split_by 'google'.*unc"):
        load_refer(tmp_path, dataset="refcoco", split_by="google")
    with pytest.raises(ValueError, match=r"no reference of split 'testB'; it holds val"):
        load_refer(tmp_path, split="testB")
    with pytest.raises(ValueError, match="needs root="):
        load_refer(dataset="refcoco")


def test_missing_things_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no REFER data at"):
        load_refer(tmp_path / "nowhere")
    make_tree(tmp_path, [ref()])
    with pytest.raises(
        FileNotFoundError, match=r"refcocog.refs\(umd\)\.p; datasets present: refcoco"
    ):
        load_refer(tmp_path, dataset="refcocog")
    make_tree(tmp_path, [ref()], dataset="refclef")
    with pytest.raises(ValueError, match="holds refcoco, refclef; pass dataset="):
        load_refer(tmp_path)
    sample = load_refer(tmp_path, dataset="refcoco")[0]
    (tmp_path / "Refer_Segm" / "coco_2014" / "train2014" / "7.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"missing image .*train2014.7\.png"):
        sample.image()
    (tmp_path / "Refer_Segm" / "refcoco" / "instances.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"instances\.json"):
        load_refer(tmp_path, dataset="refcoco")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (ref(image_id=8), "names image 8"),
        (ref(ann_id=5), "names annotation 5"),
        (ref(ann_id=2), "puts annotation 2 on image 7, instances on image 9"),
    ],
)
def test_tables_that_do_not_belong_together(tmp_path, wrong, message):
    images = [{"id": i, "height": 6, "width": 8} for i in (7, 9)]
    make_tree(
        tmp_path,
        [ref(), wrong, wrong],
        [annotation(1, SQUARE), annotation(2, SQUARE, 9)],
        images=images,
    )
    with pytest.raises(RefDataError, match=rf"does not belong .*{message}.*2 references fail"):
        load_refer(tmp_path)


@pytest.mark.parametrize(
    ("refs", "message"),
    [
        ({"a": 1}, ": Input should be a valid list ({'a': 1})"),
        ([3], "0: Input should be a valid dictionary"),
        *(([{k: v for k, v in ref().items() if k != name}], f"0.{name}: Field required")
          for name in ("ref_id", "ann_id", "image_id", "split", "category_id", "sentences")),
        ([ref(sentences=[{"sent_id": 1}])], "0.sentences.0.sent: Field required"),
        ([ref(), ref(ann_id="x")], "1.ann_id.0: Input should be a valid integer ('x')"),
        ([ref(ann_id=[])], "0.ann_id: Value should have at least 1 item"),
        ([ref(ann_id=[True])], "0.ann_id.0: Input should be a valid integer (True)"),
        ([ref(ref_id=2**63)], "0.ref_id: Input should be less than 9223372036854775808"),
        ([ref() | {"ref_id": 1.0}], "0.ref_id: Input should be a valid integer (1.0)"),
        ([ref(sents=(5,))], "0.sentences.0.sent: Input should be a valid string (5)"),
        ([ref(sents=("\ud800",))], "0.sentences.0.sent: Input should be a valid string, unable"),
        ([ref() | {"sentences": None}], "0.sentences: Input should be a valid tuple (None)"),
        ([ref() | {"sentences": ["word"]}], "0.sentences.0: Input should be a valid dictionary"),
        ([ref() | {"sentences": [{"sent_id": 1, "sent": "a", "kind": 5}]}],
         "0.sentences.0.kind: Input should be a valid string (5)"),
        ([ref(split=["v"] * 10_000)], "0.split: Input should be a valid string"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("table", ["refs(unc).p", "grefs(unc).json"])
def test_malformed_references_name_record_and_field(tmp_path, refs, message, table):
    make_tree(tmp_path, refs, dataset="grefcoco" if table[0] == "g" else "refcoco", table=table)
    with pytest.raises(
        RefDataError, match=re.escape(f"{table} has a malformed record: {message}")
    ) as found:
        load_refer(tmp_path)
    assert len(str(found.value)) < 400


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    make_tree(tmp_path, [ref()])
    table = tmp_path / "Refer_Segm" / "refcoco" / "refs(unc).p"
    table.write_bytes(b"cposix\nmkdir\n(S'" + str(tmp_path / "made").encode() + b"'\ntR.")
    with pytest.raises(
        UnsafePickleError, match=r"refs\(unc\)\.p was not loaded: .* 'posix\.mkdir'"
    ):
        load_refer(tmp_path)
    assert not (tmp_path / "made").exists()


def test_deeply_nested_files_are_refused(tmp_path):
    # 100 000 levels are more than any parser of the standard library follows.
    deep = b"[" * 100_000 + b"]" * 100_000
    make_tree(tmp_path / "table", [ref()], dataset="grefcoco", table="grefs(unc).json")
    (tmp_path / "table" / "Refer_Segm" / "grefcoco" / "grefs(unc).json").write_bytes(deep)
    with pytest.raises(RefDataError, match=r"grefs\(unc\)\.json is nested too deeply"):
        load_refer(tmp_path / "table")
    make_tree(tmp_path / "instances", [ref()])
    (tmp_path / "instances" / "Refer_Segm" / "refcoco" / "instances.json").write_bytes(
        b'{"images": ' + deep + b"}"
    )
    with pytest.raises(RefDataError, match=r"instances\.json is nested too deeply"):
        load_refer(tmp_path / "instances")


def test_an_outline_nested_900_deep_is_refused(tmp_path):
    nested = json.loads("[" * 900 + "]" * 900)
    make_tree(tmp_path, [ref()], [annotation(1, nested)])
    sample = load_refer(tmp_path)[0]
    with pytest.raises(RefDataError, match="annotation 1: "):
        sample.targets()


def test_a_key_that_stands_twice_among_many_is_found_at_once():
    many = ",".join(f'"k{n}":0' for n in range(200_000))
    content = f'{{{many},"k199999":0}}'.encode()
    start = process_time()
    with pytest.raises(ValueError, match="'k199999' stands twice"):
        read_json(content)
    assert process_time() - start < 20  # comparing each key with all others takes minutes


def test_a_number_beyond_all_floats_is_refused():
    with pytest.raises(ValueError, match="1e999 is too large"):
        read_json(b"[1e999]")


@pytest.mark.parametrize("name", ["a\x00b", "\ud800"])
def test_a_category_that_cannot_be_shown_is_refused(tmp_path, name):
    make_tree(tmp_path, [ref()])
    path = tmp_path / "Refer_Segm" / "refcoco" / "instances.json"
    found = json.loads(path.read_text())
    found["categories"][0]["name"] = name
    path.write_text(json.dumps(found))
    with pytest.raises(RefDataError, match="cannot be shown"):
        load_refer(tmp_path)


def test_a_deeply_nested_value_in_a_pickle_is_refused(tmp_path):
    make_tree(tmp_path, [ref()])
    # Opcodes by hand, for pickle.dumps itself recurses: one reference whose ref_id is lists in
    # lists.
    nested = b"]" * 100_000 + b"a" * 99_999
    table = tmp_path / "Refer_Segm" / "refcoco" / "refs(unc).p"
    table.write_bytes(
        b"\x80\x02]}X\x09\x00\x00\x00sentences]sX\x06\x00\x00\x00ref_id" + nested + b"sa."
    )
    with pytest.raises(UnsafePickleError, match=r"refs\(unc\)\.p .* has 51 levels"):
        load_refer(tmp_path)


IMAGE = {"id": 7, "file_name": "7.png", "height": 6, "width": 8}
OBJECT = {"id": 1, "image_id": 7, "category_id": 3, "segmentation": []}


def instances(image=None, **changes):
    """An `instances.json` with one image and one object, and some fields changed."""
    whole = {
        "images": [IMAGE | (image or {})],
        "annotations": [OBJECT],
        "categories": [{"id": 3, "name": "thing"}],
    }
    return json.dumps(whole | changes)


WHOLE = "Input should be a valid integer"
ODD_INSTANCES = {
    "cut off": ('{"images": [', "is not JSON"),
    "a list": ("[]", "Input should be a valid dictionary"),
    "no objects": ('{"images": []}', "annotations: Field required"),
    "no height": (instances(images=[{"id": 1, "file_name": "x"}]), "images.0.height: Field requ"),
    "file name outside": (instances({"file_name": "../x"}), "leaves the image folder ('../x')"),
    "endless height": (instances({"height": float("inf")}), "Infinity is not a number"),
    "negative height": (instances({"height": -6}), "greater than or equal to 1 (-6)"),
    "height of zero": (instances({"height": 0}), "images.0.height: Input should be greater"),
    "huge width": (instances({"width": 10**9}), "less than or equal to 32768 (1000000000)"),
    "part of a pixel": (instances({"height": 6.5}), f"images.0.height: {WHOLE} (6.5)"),
    "truth as a height": (instances({"height": True}), f"{WHOLE} (True)"),
    "height as text": (instances({"height": "6"}), f"{WHOLE} ('6')"),
    "no file name": (instances({"file_name": ""}), "is empty or holds control characters"),
    "file name of a folder": (instances({"file_name": "./"}), "is empty or holds"),
    "file name with a bell": (instances({"file_name": "a\x07.png"}), "is empty or holds"),
    "absolute file name": (instances({"file_name": "/etc/x"}), "leaves the image folder"),
    "number as a file name": (instances({"file_name": 7}), "valid string (7)"),
    "image id as text": (instances({"id": "7"}), f"images.0.id: {WHOLE} ('7')"),
    "category without a name": (instances(categories=[{"id": 3, "name": None}]), "valid string"),
    "image twice": (instances(images=[IMAGE] * 2), "image id 7 occurs twice"),
    "object twice": (instances(annotations=[OBJECT] * 2), "annotation id 1 occurs twice"),
    "category twice": (instances(categories=[{"id": 3, "name": "a"}] * 2), "id 3 occurs twice"),
    "key twice": ('{"images": [], "images": []}', "the key 'images' stands twice in one object"),
}


@pytest.mark.parametrize(("content", "message"), ODD_INSTANCES.values(), ids=ODD_INSTANCES.keys())
def test_odd_instances_are_refused_with_the_record(tmp_path, content, message):
    make_tree(tmp_path, [ref()])
    (tmp_path / "Refer_Segm" / "refcoco" / "instances.json").write_text(content)
    with pytest.raises(RefDataError, match=re.escape(message)) as found:
        load_refer(tmp_path)
    assert len(str(found.value)) < 400


def test_image_of_another_size_is_refused(tmp_path):
    sample = load_refer(make_tree(tmp_path, [ref()]))[0]
    Image.new("RGB", (9, 6)).save(sample.folder / sample.file_name)
    with pytest.raises(RefDataError, match=r"is 9 x 6 pixels, instances\.json says 8 x 6"):
        sample.image()


def test_oversized_image_is_refused_before_decoding(tmp_path, monkeypatch):
    sample = load_refer(make_tree(tmp_path, [ref()]))[0]
    # The picture has 48 pixels: over the limit, under twice the limit.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    with pytest.raises(ValueError, match=r"7\.png: .* exceeds limit of 30 pixels"):
        sample.image()


@pytest.mark.parametrize("keep", [0, 20, 50])
def test_damaged_image_is_refused(tmp_path, keep):
    sample = load_refer(make_tree(tmp_path, [ref()]))[0]
    path = sample.folder / sample.file_name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"7\.png: (no image|not a readable image)"):
        sample.image()


def test_a_bad_outline_names_its_annotation(tmp_path):
    sample = load_refer(make_tree(tmp_path, [ref()], [annotation(1, [[1, 2]])]))[0]
    with pytest.raises(RefDataError, match=r"annotation 1: a polygon"):
        sample.targets()


@pytest.mark.parametrize("value", ["0", "1", "false", "", 2, -1, 0.5, [], {}], ids=repr)
def test_a_crowd_is_stated_by_a_truth_value(tmp_path, value):
    make_tree(tmp_path, [ref()], [annotation(1, SQUARE) | {"iscrowd": value}])
    message = "instances.json has a malformed record: annotations.0.iscrowd: expected 0, 1, true or"
    with pytest.raises(RefDataError, match=re.escape(message)) as found:
        load_refer(tmp_path)
    assert str(found.value).endswith(f"false, without quotes; leave it out for 0 ({value!r})")


@pytest.mark.parametrize(
    ("value", "crowd"),
    [(0, False), (1, True), (False, False), (True, True), (0.0, False), (None, False)],
)
def test_every_form_of_a_truth_value_says_what_it_means(tmp_path, value, crowd):
    make_tree(tmp_path, [ref()], [annotation(1, SQUARE) | {"iscrowd": value}])
    assert load_refer(tmp_path)[0].annotations[1].crowd is crowd
