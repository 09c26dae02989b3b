"""Datasets, splits and samples in REFER layout."""

import logging

import pytest
from refer_tree import SQUARE, annotation, make_tree, ref

from litelvlm import load_refer
from litelvlm.data.layout import REF_FAMILIES, SplitSize, split_test


def test_both_roots_and_all_attributes(tmp_path):
    make_tree(tmp_path, [ref(sents=("A thing ", "it")), ref(2, split="train")])
    for root in (tmp_path, tmp_path / "Refer_Segm", str(tmp_path)):
        data = load_refer(root)
        assert (data.name, data.split, data.split_by, len(data), data.n_expressions) == (
            "refcoco",
            "val",
            "unc",
            1,
            2,
        )
    assert data.root == tmp_path / "Refer_Segm"
    assert data.categories == {3: "thing"}
    assert data.counts == SplitSize(2, 1, 1)
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
    assert data[0].targets().sum() == 0  # an empty outline


def test_annotations_hold_every_object_of_the_image(tmp_path):
    images = [{"id": i, "height": 6, "width": 8} for i in (7, 9)]
    annotations = [annotation(1, SQUARE), annotation(2, SQUARE), annotation(3, SQUARE, 9)]
    annotations.append(annotation(4, SQUARE, 9) | {"iscrowd": 1})
    refs = [ref(1, 1), ref(2, 2, split="train"), ref(3, 3, 9)]
    first, second = load_refer(make_tree(tmp_path, refs, annotations, images=images))
    # Object 2 is meant by another split only, object 4 by nobody.
    assert [*first.annotations] == [1, 2]
    assert [*second.annotations] == [3, 4]
    # COCO marks a region of many objects, which is none itself.
    assert {a.ann_id: a.crowd for a in second.annotations.values()} == {3: False, 4: True}


def test_split_strings_match_by_the_official_rule():
    assert [
        s for s in ("testA", "testB", "testAB", "val", "trainA") if split_test("testA", False)(s)
    ] == [
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
        for name, family in REF_FAMILIES.items()
        for author in family.tables
        for table in family.tables[author]
    ],
)
def test_every_dataset_and_table_name(tmp_path, dataset, author, table):
    make_tree(tmp_path, [ref()], dataset=dataset, table=table)
    data = load_refer(tmp_path, dataset=dataset, split_by=author)
    assert (data.name, data.split_by, data.n_expressions) == (dataset, author, 1)
    assert data.digest == load_refer(tmp_path, dataset=dataset, split_by=author).digest
    assert data[0].image().size == (8, 6)


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
    data = load_refer(
        make_tree(tmp_path, refs, annotations, "grefcoco", "grefs(unc).json"), dataset="grefcoco"
    )
    both, none, one = data[0].targets()
    # First row: 112211.. OR ....1111 -> 1 | 0, 2 | 0, 1 | 1.
    assert both[0].tolist() == [1, 1, 2, 2, 1, 1, 1, 1]
    assert none.sum() == 0
    assert one[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert data[0].expressions[1].ann_ids == (-1,)


def test_digest_follows_the_content(tmp_path):
    first = load_refer(make_tree(tmp_path, [ref()])).digest
    changed = load_refer(make_tree(tmp_path, [ref(sents=("the thing!",))])).digest
    moved = load_refer(
        make_tree(tmp_path, [ref()], [annotation(1, [[1, 1, 4, 1, 4, 5, 1, 5]])])
    ).digest
    assert len({first, changed, moved}) == 3
    assert load_refer(make_tree(tmp_path / "copy", [ref()])).digest == first


def test_unusual_size_of_a_known_split_is_reported_once(tmp_path, caplog):
    # No other test has as many expressions: a size is reported once in a process.
    make_tree(tmp_path, [ref(sents=tuple(f"thing {number}" for number in range(17)))])
    with caplog.at_level(logging.WARNING):
        notes = {load_refer(tmp_path).count_note for _ in range(2)}
    assert notes == {
        "refcoco val (unc) has 17 expressions (published: 10834), "
        "1 refs (published: 3811), 1 images (published: 1500)"
    }
    assert len(caplog.records) == 1


def test_unknown_counts_are_said_and_not_taken_for_right(tmp_path, caplog):
    make_tree(tmp_path, [ref()], dataset="refclef")
    make_tree(tmp_path, [ref()], dataset="refcocog", table="refs(google).p")
    with caplog.at_level(logging.WARNING):
        clef = load_refer(tmp_path, dataset="refclef").count_note
        google = load_refer(tmp_path, dataset="refcocog", split_by="google").count_note
    assert clef == "refclef val (unc): counts unknown of expressions, refs, images"
    assert google == "refcocog val (google): counts unknown of expressions, refs, images"
    assert not caplog.records
    make_tree(tmp_path, [ref()], dataset="grefcoco", table="grefs(unc).json")
    both = load_refer(tmp_path, dataset="grefcoco").count_note
    assert both == (
        "grefcoco val (unc) has 1 images (published: 1500); "
        "grefcoco val (unc): counts unknown of expressions, refs"
    )


def test_sentences_that_share_an_id_are_told_apart(tmp_path, caplog):
    # Two sentences of one image and one of another have id 10; that another split has it too does
    # no harm.
    twice = {
        "sentences": [
            {"sent_id": 10, "sent": "it", "raw": "it"},
            {"sent_id": 10, "sent": "that", "raw": "that"},
        ]
    }
    images = ({"id": 7, "height": 6, "width": 8}, {"id": 9, "height": 6, "width": 8})
    annotations = [annotation(1, SQUARE), annotation(2, SQUARE, image_id=9)]
    refs = [ref(1, **twice), ref(1, 2, 9), ref(1, split="testA"), ref(3, split="testA")]
    make_tree(tmp_path, refs, annotations, images=images)
    with caplog.at_level(logging.WARNING):
        data = load_refer(tmp_path)
    assert [[(e.sent_id, e.sent) for e in sample.expressions] for sample in data] == [
        [(1, "it"), (2, "that")],
        [(3, "the thing")],
    ]
    assert "ids of sentences occur twice, so sentences are numbered anew" in caplog.text
    assert "numbered anew" in data.count_note
    other = load_refer(tmp_path, split="testA")
    assert [e.sent_id for e in other[0].expressions] == [10, 30]
    assert "numbered" not in other.count_note
