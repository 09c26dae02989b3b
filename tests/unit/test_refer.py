"""Reading and writing the REFER layout: official masks, splits, clear refusals, and the embedded scenes."""

import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from safetensors.numpy import load_file

from litelvlm.data import embedded
from litelvlm.data.annotations import RefDataError, decode_mask
from litelvlm.data.layout import FAMILIES, Counts, split_test
from litelvlm.data.pickles import UnsafePickleError
from litelvlm.data.refer import SPLITS, _count_note, load_refer
from litelvlm.data.refer_writer import write_refer
from litelvlm.data.scenes import sample_scene

FIXTURE = Path(__file__).parents[1] / "fixtures" / "parity" / "refer"
SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]


def make_tree(
    root, refs, annotations=None, dataset="refcoco", table="refs(unc).p", images=({"id": 7, "height": 6, "width": 8},)
):
    """A small tree; annotations default to one square of id 1 on image 7."""
    base = root / "Refer_Segm"
    (base / dataset).mkdir(parents=True, exist_ok=True)
    folder = base / "coco_2014" / "train2014"
    folder.mkdir(parents=True, exist_ok=True)
    images = [{"file_name": f"{image['id']}.png", **image} for image in images]
    for image in images:
        Image.new("L", (image["width"], image["height"]), 90).save(folder / Path(image["file_name"]).name)
    if annotations is None:
        annotations = [annotation(1, SQUARE)]
    instances = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "thing"}]}
    (base / dataset / "instances.json").write_text(json.dumps(instances))
    content = json.dumps(refs).encode() if table.endswith(".json") else pickle.dumps(refs, 2)
    (base / dataset / table).write_bytes(content)
    return root


def annotation(ann_id, segmentation, image_id=7):
    return {"id": ann_id, "image_id": image_id, "category_id": 3, "segmentation": segmentation}


def ref(ref_id=1, ann_id=1, image_id=7, split="val", sents=("the thing",), **extra):
    sentences = [{"sent_id": 10 * ref_id + i, "sent": sent, "raw": sent} for i, sent in enumerate(sents)]
    return {
        "ref_id": ref_id, "ann_id": ann_id, "image_id": image_id, "split": split, "category_id": 3,
        "sentences": sentences, **extra,
    }  # fmt: skip


# ---- official masks


@pytest.mark.parametrize("group", ["refcoco|val", "refcoco|testA", "refcocog|val"])
def test_recorded_official_masks(group):
    recorded = load_file(FIXTURE / "decoded_masks.safetensors")
    dataset, split = group.split("|")
    data = load_refer(FIXTURE, dataset=dataset, split=split)
    entries = json.loads((FIXTURE / "decoded_masks.json").read_text())[group]
    assert len(data) == len(entries)
    for sample, entry in zip(data, entries, strict=True):
        assert sample.file_name == entry["image_file"]
        assert [expression.sent for expression in sample.expressions] == entry["expressions"]
        assert np.array_equal(sample.masks(), recorded[entry["key"]])
        assert sample.masks().dtype == np.uint8
        assert sample.image().size == (sample.width, sample.height)


def test_outline_forms_give_the_same_mask():
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[1:4, 1:4] = 1
    packed = coco_mask.encode(np.asfortranarray(mask))
    # Column by column: 6 + 1 zeros, 3 ones, 3 zeros, 3 ones, 3 zeros, 3 ones, then the rest of 48.
    plain = [7, 3, 3, 3, 3, 3, 26]
    size = [6, 8]
    for outline in (
        SQUARE,
        [{"size": size, "counts": packed["counts"]}],
        [{"size": size, "counts": packed["counts"].decode()}],
        [{"size": size, "counts": plain}],
        {"size": size, "counts": plain},
        {"size": size, "counts": packed["counts"].decode()},
    ):
        assert np.array_equal(decode_mask(outline, 6, 8), mask)
    assert decode_mask([], 6, 8).sum() == 0


def test_compressed_run_lengths_of_many_shapes():
    rng = np.random.default_rng(0)
    for density in (0.02, 0.5, 0.98):
        for side in (1, 7, 60, 300):
            mask = (rng.random((side, side)) < density).astype(np.uint8)
            packed = coco_mask.encode(np.asfortranarray(mask))
            outline = [{"size": [side, side], "counts": packed["counts"].decode()}]
            assert np.array_equal(decode_mask(outline, side, side), mask)


def test_overlapping_polygons_are_summed():
    mask = decode_mask([[0, 0, 4, 0, 4, 4, 0, 4], [2, 0, 6, 0, 6, 4, 2, 4]], 6, 8)
    assert mask[0].tolist() == [1, 1, 2, 2, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ("abc", "is a str"),
        ([[1, 2]], "at least two points"),
        ([[1, 2, 3, 4, 5]], "at least two points"),
        ([[1, 2, 3, 4, 5, float("nan")]], "no number or far outside"),
        ([[1, 2, 3, 4, 5, 1e9]], "no number or far outside"),
        ([["a", "b", "c", "d"]], "no number or far outside"),
        ([{"size": [9, 9], "counts": "0"}], r"size \[9, 9\], the image \[6, 8\]"),
        ([{"size": [6, 8], "counts": [3, 3]}], "add up to 48"),
        ([{"size": [6, 8], "counts": [50, -2]}], "add up to 48"),
        ([{"size": [6, 8]}], "lacks its counts"),
        ([{"size": [6, 8], "counts": "zzzzzzzz"}], "add up to 48"),
        ([{"size": [6, 8], "counts": "0"}], "add up to 48"),  # pycocotools alone returns uninitialised memory here
        ([{"size": [6, 8], "counts": "ooo"}], "cut off"),
    ],
)
def test_bad_outlines_are_refused(outline, message):
    with pytest.raises(RefDataError, match=message):
        decode_mask(outline, 6, 8)


# ---- datasets, splits, order


def test_both_roots_and_all_attributes(tmp_path):
    make_tree(tmp_path, [ref(sents=("A thing ", "it")), ref(2, split="train")])
    for root in (tmp_path, tmp_path / "Refer_Segm", str(tmp_path)):
        data = load_refer(root)
        assert (data.name, data.split, data.split_by, len(data), data.n_expressions) == ("refcoco", "val", "unc", 1, 2)
    assert data.root == tmp_path / "Refer_Segm"
    assert data.categories == {3: "thing"}
    assert data.counts == Counts(2, 1, 1)
    first = data[0].expressions[0]
    assert (first.sent, first.sent_id, first.ref_id, first.ann_ids, first.category_id) == (
        "A thing ",
        10,
        1,
        (1,),
        (3,),
    )
    assert first.kind is None
    assert data[0:1] == (data[0],)
    assert data[0].image().mode == "RGB"


def test_images_ascend_and_expressions_keep_file_order(tmp_path):
    images = [{"id": i, "height": 6, "width": 8} for i in (9, 5)]
    annotations = [annotation(1, SQUARE, 9), annotation(2, [], 5), annotation(3, SQUARE, 9)]
    refs = [ref(8, 3, 9, sents=("c",)), ref(4, 2, 5, sents=("a",)), ref(2, 1, 9, sents=("b",))]
    data = load_refer(make_tree(tmp_path, refs, annotations, images=images))
    assert [sample.image_id for sample in data] == [5, 9]
    assert [e.sent for e in data[1].expressions] == ["c", "b"]
    assert data[0].masks().sum() == 0  # an empty outline


def test_split_strings_match_by_the_official_rule():
    assert [s for s in ("testA", "testB", "testAB", "val", "trainA") if split_test("testA", False)(s)] == [
        "testA",
        "testAB",
        "trainA",
    ]
    assert split_test("test", False)("testB")
    assert not split_test("test", True)("testB")
    assert not split_test("testA", True)("testAB")
    assert not split_test("val", False)("valid")


@pytest.mark.parametrize(
    ("dataset", "author", "table"),
    [
        (name, author, table)
        for name, family in FAMILIES.items()
        for author in family.tables
        for table in family.tables[author]
    ],
)
def test_every_dataset_and_table_name(tmp_path, dataset, author, table):
    make_tree(tmp_path, [ref()], dataset=dataset, table=table)
    data = load_refer(tmp_path, dataset=dataset, split_by=author)
    assert (data.name, data.split_by, data.n_expressions) == (dataset, author, 1)
    assert data.digest == load_refer(tmp_path, dataset=dataset, split_by=author).digest
    assert "val" in SPLITS[dataset]


def test_grefcoco_targets(tmp_path):
    annotations = [
        annotation(1, [[0, 0, 4, 0, 4, 4, 0, 4], [2, 0, 6, 0, 6, 4, 2, 4]]),
        annotation(2, [[4, 0, 8, 0, 8, 4, 4, 4]]),
    ]
    refs = [
        ref(1, [1, 2], category_id=[3, 3]),
        ref(2, [-1], category_id=[-1], no_target=True),
        ref(3, [2], category_id=[3]),
        ref(4, [1], split="testA"),
    ]
    data = load_refer(make_tree(tmp_path, refs, annotations, "grefcoco", "grefs(unc).json"), dataset="grefcoco")
    both, none, one = data[0].masks()
    # First row: 112211.. OR ....1111 -> 1 | 0, 2 | 0, 1 | 1.
    assert both[0].tolist() == [1, 1, 2, 2, 1, 1, 1, 1]
    assert none.sum() == 0
    assert one[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert data[0].expressions[1].ann_ids == (-1,)


def test_digest_follows_the_content(tmp_path):
    first = load_refer(make_tree(tmp_path, [ref()])).digest
    changed = load_refer(make_tree(tmp_path, [ref(sents=("the thing!",))])).digest
    moved = load_refer(make_tree(tmp_path, [ref()], [annotation(1, [[1, 1, 4, 1, 4, 5, 1, 5]])])).digest
    assert len({first, changed, moved}) == 3
    assert load_refer(make_tree(tmp_path / "copy", [ref()])).digest == first


def test_unusual_size_of_a_known_split_is_reported_once(tmp_path, caplog):
    _count_note.cache_clear()
    make_tree(tmp_path, [ref()])
    with caplog.at_level(logging.WARNING):
        notes = {load_refer(tmp_path).count_note for _ in range(2)}
    assert notes == {
        "refcoco val (unc) has 1 expressions (published: 10834), 1 refs (published: 3811), 1 images (published: 1500)"
    }
    assert len(caplog.records) == 1
    assert load_refer(make_tree(tmp_path / "g", [ref()], dataset="refclef")).count_note == ""


# ---- refusals


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
    with pytest.raises(FileNotFoundError, match=r"refcocog.refs\(umd\)\.p; datasets present: refcoco"):
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
    make_tree(tmp_path, [ref(), wrong, wrong], [annotation(1, SQUARE), annotation(2, SQUARE, 9)], images=images)
    with pytest.raises(RefDataError, match=rf"does not belong .*{message}.*2 references fail"):
        load_refer(tmp_path)


@pytest.mark.parametrize(
    ("refs", "message"),
    [
        ({"a": 1}, "holds a dict, expected a list"),
        ([3], "reference 0 is a int"),
        *(([{k: v for k, v in ref().items() if k != name}], f"reference 0 lacks the field '{name}'") for name in
          ("ref_id", "ann_id", "image_id", "split", "category_id", "sentences")),
        ([ref(sentences=[{"sent_id": 1}])], "sentence 0 lacks the field 'sent'"),
        ([ref(ann_id="x")], "has 'x' where a whole number is due"),
        ([ref(sents=(5,))], "has 5 where text is due"),
    ],
)  # fmt: skip
def test_malformed_references_name_record_and_field(tmp_path, refs, message):
    make_tree(tmp_path, refs)
    with pytest.raises(RefDataError, match=rf"refs\(unc\)\.p.*{message}"):
        load_refer(tmp_path)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    make_tree(tmp_path, [ref()])
    table = tmp_path / "Refer_Segm" / "refcoco" / "refs(unc).p"
    table.write_bytes(b"cposix\nmkdir\n(S'" + str(tmp_path / "made").encode() + b"'\ntR.")
    with pytest.raises(UnsafePickleError, match=r"refs\(unc\)\.p was not loaded: opcode GLOBAL 'posix\.mkdir'"):
        load_refer(tmp_path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"images": [', "is not JSON"),
        (b"[]", "holds a list"),
        (b'{"images": []}', "lacks the field 'annotations'"),
        (b'{"images": [{"id": 1}], "annotations": [], "categories": []}', "lacks the field 'file_name'"),
        (b'{"images": [{"id": 1, "file_name": "../x", "height": 1, "width": 1}]}', "leaves the image folder"),
        (b'{"images": [{"id": 1, "file_name": "x", "height": "a", "width": 1}]}', "malformed record"),
    ],
)
def test_malformed_instances(tmp_path, content, message):
    make_tree(tmp_path, [ref()])
    (tmp_path / "Refer_Segm" / "refcoco" / "instances.json").write_bytes(content)
    with pytest.raises(RefDataError, match=message):
        load_refer(tmp_path)


def test_image_of_another_size_is_refused(tmp_path):
    sample = load_refer(make_tree(tmp_path, [ref()]))[0]
    Image.new("RGB", (9, 6)).save(sample.folder / sample.file_name)
    with pytest.raises(RefDataError, match=r"is 9 x 6 pixels, instances\.json says 8 x 6"):
        sample.image()


def test_oversized_image_is_refused_before_decoding(tmp_path, monkeypatch):
    sample = load_refer(make_tree(tmp_path, [ref()]))[0]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)  # 48 pixels: over the limit, under twice the limit
    with pytest.raises(RefDataError, match="safety limit"):
        sample.image()


def test_a_bad_outline_names_its_annotation(tmp_path):
    sample = load_refer(make_tree(tmp_path, [ref()], [annotation(1, [[1, 2]])]))[0]
    with pytest.raises(RefDataError, match=r"annotation 1: a polygon"):
        sample.masks()


# ---- procedural scenes in this layout


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes") / "tree"
    splits = {"train": range(5), "val": range(10, 20), "testA": range(20, 24), "testB": range(30, 34)}
    write_refer(root, {split: [sample_scene(seed) for seed in seeds] for split, seeds in splits.items()})
    return root, splits


def test_scenes_come_back_exactly(written):
    root, splits = written
    for split, seeds in splits.items():
        data = load_refer(root, split=split)
        assert [sample.image_id for sample in data] == list(seeds)
        for sample in data:
            scene = sample_scene(sample.image_id)
            meant = {e.sent: e for e in scene.expressions}
            assert np.array_equal(np.asarray(sample.image()), scene.image)
            for expression, mask in zip(sample.expressions, sample.masks(), strict=True):
                source = meant.pop(expression.sent)
                assert np.array_equal(mask, scene.masks[source.target].astype(np.uint8))
                assert expression.kind == source.kind
                assert data.categories[expression.category_id[0]] == scene.objects[source.target].shape
            left = {e.kind for e in meant.values()}
            assert left == {"testA": {"place", "relation"}, "testB": {"attribute", "place"}}.get(split, set())


def test_both_outline_forms_and_true_boxes_are_written(written):
    root, _ = written
    instances = json.loads((root / "Refer_Segm" / "refcoco" / "instances.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in instances["images"]}
    forms = set()
    for record in instances["annotations"]:
        forms.add(type(record["segmentation"][0]))
        mask = decode_mask(record["segmentation"], *sizes[record["image_id"]])
        assert mask.max() == 1
        assert record["area"] == mask.sum()
        x, y, w, h = record["bbox"]
        assert mask[y : y + h, x : x + w].sum() == mask.sum()
        assert mask[y].any()
        assert mask[y + h - 1].any()
        assert mask[:, x].any()
        assert mask[:, x + w - 1].any()
    assert forms == {list, dict}


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_refer(tmp_path / name, {"val": [sample_scene(seed) for seed in range(3)]})
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 5
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_failed_write_leaves_nothing(tmp_path):
    def scenes():
        yield sample_scene(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_refer(tmp_path / "tree", {"val": scenes()})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="seed 0 is there twice"):
        write_refer(tmp_path / "tree", {"val": [sample_scene(0)], "train": [sample_scene(0)]})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "tree").mkdir()
    with pytest.raises(FileExistsError, match="tree exists"):
        write_refer(tmp_path / "tree", {})


@pytest.fixture
def small_embedded(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    seeds = {"train": range(2), "val": range(10, 13), "testA": range(20, 22), "testB": range(30, 32)}
    monkeypatch.setattr(embedded, "EMBEDDED_SEEDS", seeds)
    return tmp_path / "cache"


def test_embedded_scenes_are_made_once(small_embedded, monkeypatch):
    data = load_refer("embedded", split="val")
    assert (data.name, len(data), data.count_note) == ("embedded", 3, "")
    (folder,) = small_embedded.iterdir()
    assert folder.name == f"scenes-{embedded.generator_digest()[:16]}"
    monkeypatch.setattr(embedded, "sample_scene", None)  # a second generation would fail
    assert load_refer(split="testA").digest == data.digest
    assert {e.kind for sample in load_refer(split="testB") for e in sample.expressions} == {"relation"}


def test_another_level_or_seed_makes_another_folder(small_embedded, monkeypatch):
    first = embedded.generator_digest()
    monkeypatch.setattr(embedded, "EMBEDDED_LEVEL", "hard")
    second = embedded.generator_digest()
    monkeypatch.setattr(embedded, "EMBEDDED_SEEDS", {"val": range(1)})
    assert len({first, second, embedded.generator_digest()}) == 3


def test_embedded_seeds_are_apart_from_each_other_and_from_training():
    seeds = [seed for part in embedded.EMBEDDED_SEEDS.values() for seed in part]
    assert len(seeds) == len(set(seeds)) == 660
    assert max(seeds) < 1_000_000


def test_digest_covers_pixels(tmp_path):
    scene = sample_scene(0)
    brighter = type(scene)(scene.seed, scene.image // 2, scene.objects, scene.masks, scene.expressions)
    write_refer(tmp_path / "a", {"val": [scene]})
    write_refer(tmp_path / "b", {"val": [brighter]})
    assert load_refer(tmp_path / "a").digest != load_refer(tmp_path / "b").digest


def test_unwritable_cache_names_the_fix(small_embedded, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(embedded, "write_refer", refuse)
    with pytest.raises(PermissionError, match="set LITELVLM_CACHE"):
        load_refer()
