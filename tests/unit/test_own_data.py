"""Data of a user's own in REFER layout: found, named, compared with none, and checked by field."""

import json
import logging
import re

import pytest
from PIL import ExifTags, Image
from refer_tree import SQUARE, RefDataError, annotation, make_tree, ref

from litelvlm import load_refer
from litelvlm.analysis.cli.actions.data_check import check_references
from tests.docs_commands import ROOT, blocks

PAGE = ROOT / "docs" / "own-data.md"


def write(folder, *refs, table="refs.json"):
    """A folder with both tables and its pictures."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(folder / "images" / "7.png")
    instances = {
        "images": [{"id": 7, "file_name": "7.png", "height": 6, "width": 8}],
        "annotations": [annotation(1, SQUARE)],
        "categories": [{"id": 3, "name": "thing"}],
    }
    (folder / "instances.json").write_text(json.dumps(instances))
    (folder / table).write_text(json.dumps(refs or [ref(split="night")]))
    return folder


@pytest.mark.parametrize("below", ["", "Refer_Segm/"])
def test_a_folder_of_any_name_is_a_data_set_of_that_name(tmp_path, monkeypatch, caplog, below):
    folder = write(tmp_path / below / "mine")
    monkeypatch.chdir(folder)
    given = [(folder, None), (".", None), (folder.parent, None), (folder.parent, "mine")]
    if below:
        given.append((tmp_path, "mine"))
    with caplog.at_level(logging.WARNING):
        found = [load_refer(root, dataset, split="night") for root, dataset in given]
    assert {(data.name, data.split_by, data.count_note) for data in found} == {("mine", "own", "")}
    assert len({data.digest for data in found}) == 1
    assert found[0][0].image().size == (8, 6)
    assert int(found[0][0].targets().sum()) == 9
    assert not caplog.records


def test_pictures_may_be_those_of_coco(tmp_path):
    make_tree(tmp_path, [ref()])
    write(tmp_path / "Refer_Segm" / "mine", ref())
    (tmp_path / "Refer_Segm" / "mine" / "images" / "7.png").unlink()
    (tmp_path / "Refer_Segm" / "mine" / "images").rmdir()
    sample = load_refer(tmp_path, "mine")[0]
    assert sample.image().getpixel((0, 0)) == (90, 90, 90)
    assert load_refer(tmp_path, "refcoco").count_note  # a published name is compared


def test_cocos_pictures_may_lie_beside_the_tables(tmp_path):
    make_tree(tmp_path, [ref()])
    (tmp_path / "Refer_Segm" / "coco_2014").rename(tmp_path / "coco_2014")
    assert load_refer(tmp_path)[0].image().size == (8, 6)


def test_authors_are_told_apart(tmp_path):
    folder = write(tmp_path / "mine", table="refs(ana).json")
    assert load_refer(folder, split="night").split_by == "ana"
    write(folder, ref(split="day"), table="refs(ben).json")
    with pytest.raises(ValueError, match=r"holds tables of ana, ben; pass split_by="):
        load_refer(folder, split="night")
    assert load_refer(folder, split="day", split_by="ben").split_by == "ben"
    (folder / "refs(ben).p").write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds refs\(ben\).json and refs\(ben\).p; keep one"):
        load_refer(folder, split="day", split_by="ben")


def test_what_is_missing_is_named(tmp_path):
    folder = write(tmp_path / "mine")
    with pytest.raises(ValueError, match="has no reference of split 'val'; it holds night"):
        load_refer(folder)
    with pytest.raises(ValueError, match="is the folder of the data set 'mine'; leave dataset="):
        load_refer(folder, dataset="refcoco")
    with pytest.raises(ValueError, match=r"unknown dataset 'min'; did you mean 'mine'\?"):
        load_refer(tmp_path, dataset="min")
    (folder / "images" / "7.png").unlink()
    sample = load_refer(folder, split="night")[0]
    with pytest.raises(FileNotFoundError, match=r"unpack the pictures it names into .*mine.images"):
        sample.image()
    (folder / "refs.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"missing .*refs\.json, the table of references"):
        load_refer(folder, split="night")


LACKING = {
    ("refs.json", "ref_id"): "0.ref_id: Field required (...); expected a whole number",
    ("refs.json", "ann_id"): "0.ann_id: Field required (...); expected a whole number, or a list",
    ("refs.json", "split"): "0.split: Field required (...); expected a text",
    ("refs.json", "sentences"): "0.sentences: Field required (...); expected a list of sentences",
    ("instances.json", "file_name"): "images.0.file_name: Field required (...); expected a text",
    ("instances.json", "height"): "images.0.height: Field required (...); expected a whole number",
    ("instances.json", "segmentation"):
        "annotations.0.segmentation: Field required (...); expected polygons [[x0, y0, x1, y1",
    ("instances.json", "categories"): "categories: Field required (...); expected a list of cat",
}  # fmt: skip


@pytest.mark.parametrize(("place", "message"), LACKING.items(), ids=map(" ".join, LACKING))
def test_a_missing_field_is_named_with_what_is_expected(tmp_path, place, message):
    file, field = place
    path = write(tmp_path / "mine") / file
    content = path.read_text().replace(f'"{field}"', '"other"')
    path.write_text(content)
    pattern = re.escape(f"{file} has a malformed record: {message}").replace(
        re.escape("(...)"), r"\(.*\)"
    )
    with pytest.raises(RefDataError, match=pattern):
        load_refer(tmp_path / "mine", split="night")


def told(folder, **changes):
    """What the check says of one object with some fields changed."""
    write(folder, ref(split="night"))
    path = folder / "instances.json"
    content = json.loads(path.read_text())
    content["annotations"][0] |= changes
    path.write_text(json.dumps(content))
    return check_references(load_refer(folder, split="night"), every_image=False)


def test_a_check_tells_of_objects_without_pixels_and_of_boxes_that_do_not_fit(tmp_path):
    assert told(tmp_path / "mine", bbox=[1, 1, 3, 3]).startswith(
        "mine night: 1 expressions, 1 images, 1 of 1 images read, content "
    )
    assert "odd" not in told(tmp_path / "mine", bbox=[0.6, 1, 3.2, 3])
    assert told(tmp_path / "mine", bbox=[2, 2, 4, 4]).endswith(
        "1 entries look odd: annotation 1 has bbox [2.0, 2.0, 4.0, 4.0] where its mask has "
        "[1.0, 1.0, 3.0, 3.0], as [x, y, width, height]"
    )
    assert "odd: annotation 1 has bbox" in told(tmp_path / "mine", bbox=[6, 1, -3, 3])
    assert told(tmp_path / "mine", segmentation=[]).endswith("odd: annotation 1 has no pixels")


def test_a_check_tells_of_pixels_that_lie_in_two_polygons(tmp_path):
    twice, overlapping = SQUARE * 2, [*SQUARE, [3, 1, 6, 1, 6, 4, 3, 4]]
    for outline, counts in ((twice, "9 of its 9"), (overlapping, "3 of its 15")):
        assert told(tmp_path / "mine", segmentation=outline, bbox=[1, 1, 4, 3]).endswith(
            f"1 entries look odd: annotation 1 has {counts} pixels in two or more of its polygons, "
            "where only --doubled object scores them"
        )
    apart = [*SQUARE, [4, 1, 7, 1, 7, 4, 4, 4]]
    assert "odd" not in told(tmp_path / "mine", segmentation=apart)
    both = told(tmp_path / "mine", segmentation=twice, bbox=[4, 4, 2, 2])
    assert "2 entries look odd: annotation 1 has bbox" in both


def test_a_picture_that_exif_turns_is_told(tmp_path):
    def with_picture(size, orientation):
        folder, exif = write(tmp_path / f"mine{orientation}"), Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        Image.new("RGB", size).save(folder / "images" / "7.png", exif=exif)
        return check_references(load_refer(folder, split="night"), every_image=False)

    assert "odd" not in with_picture((8, 6), 1)
    assert with_picture((8, 6), 3).endswith(
        "1 entries look odd: 7.png is turned by its EXIF tag, and masks lie on pixels as stored"
    )
    with pytest.raises(ValueError, match=r"6 x 8 pixels.* 8 x 6; its EXIF tag turns it, and masks"):
        with_picture((6, 8), 6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            ref(split="night", sents=("ok", " ")),
            "image 7, reference 1, sentence 11: the expression",
        ),
        (ref(split="night", sents=("the <image>",)), "sentence 10: .*control token '<image>'"),
    ],
)
def test_a_check_names_the_sentence_that_no_model_is_asked(tmp_path, wrong, message):
    data = load_refer(write(tmp_path / "mine", wrong), split="night")
    with pytest.raises(ValueError, match=f"1 of 1 of 1 images read cannot be used: .*{message}"):
        check_references(data, every_image=True)


def test_the_page_writes_what_it_describes(tmp_path, monkeypatch):
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    program = "\n".join(
        "\n".join(block) for block in blocks(PAGE) if block[0].startswith("import ")
    )
    exec(program, {})  # noqa: S102
    for place in ("mine", "mine-test.parquet"):
        (only,) = load_refer(place, split="test")
        assert [e.sent for e in only.expressions] == ["the box in the middle"]
        assert only.targets().sum() == 60 * 120
        assert only.image().size == (320, 240)
        assert "odd" not in check_references(load_refer(place, split="test"), every_image=True)


def test_the_page_lists_every_field_that_must_be_there():
    page = PAGE.read_text()
    for name in {field for _, field in LACKING} | {"image_id", "category_id", "sent_id", "sent"}:
        assert f"`{name}`" in page, name
