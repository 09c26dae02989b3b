"""What the reversal study makes of unusual targets.

No category stated, several objects meant by one expression, no outline.
"""

import dataclasses
from types import SimpleNamespace

from planted import PlantedModel, planted_data

from litelvlm.analysis.api import complete_run, read_rows, read_summary
from litelvlm.analysis.inputs.picked import unusable
from litelvlm.analysis.inputs.samples import image_targets
from litelvlm.analysis.studies import reversal
from tests.study_inputs import NO_OUTLINE, NO_TARGET, target_mask

FAST = reversal.Config(shifts=40, blobs=5, pool=24, donors=3, chunk_size=5, random_seeds=1)


def test_without_stated_categories_nothing_is_taken_for_the_same_one(tmp_path):
    data = planted_data(24, objects=3, categories=2)
    for place, sample in enumerate(data):
        objects = {i: SimpleNamespace(category_id=-1, crowd=False) for i in sample.annotations}
        expressions = tuple(dataclasses.replace(e, category_id=()) for e in sample.expressions)
        data[place] = dataclasses.replace(sample, expressions=expressions, annotations=objects)
    (only,), first = data[0].expressions[:1], data[0]
    alone = {i: first.annotations[i] for i in only.ann_ids}
    data[0] = dataclasses.replace(first, expressions=(only,), annotations=alone)
    folder = complete_run(reversal.STUDY, PlantedModel("instance"), data, FAST, tmp_path)
    rows = read_rows(folder)
    assert {"other_text", "other_category_object"} <= set(rows.control)
    assert not {"same_category_text", "same_category_object"} & set(rows.control)
    assert rows.same_category.isna().all()
    assert set(rows.category) == {"not stated"}
    assert set(rows.n_same_category) == {0}
    claims = {claim.id: claim for claim in read_summary(folder).claims}
    assert "H3" not in claims
    assert "texts of other images (the data state no categories)" in claims["H2"].statement
    assert (
        "another object of the image (the data state no categories)" in claims["H3.other"].statement
    )
    assert claims["H2"].verdict == claims["H3.other"].verdict == "supported"
    assert claims["H3.other"].excluded == {"no other object that can be labelled": 1}


def test_objects_that_are_meant_together_are_no_rivals_of_each_other(tmp_path):
    # Objects 1 and 2 of one category and 3 of another; then a crowd of the first category, which is
    # no object.
    data = planted_data(1, objects=3)
    (sample,) = data
    first, second, third = sample.annotations
    kinds = {first: 5, second: 5, third: 8, 99: 5}
    objects = {i: SimpleNamespace(category_id=kind, crowd=i == 99) for i, kind in kinds.items()}
    ways = [
        ((first,), (5,)),
        ((first, second), (5, 5)),
        ((first, third), (5, 8)),
        ((first, second, third), (5, 5, 8)),
    ]
    expressions = tuple(
        dataclasses.replace(sample.expressions[0], ann_ids=meant, category_id=category)
        for meant, category in ways
    )
    sample = dataclasses.replace(sample, expressions=expressions, annotations=objects)
    found = [keys for _, _, keys, _ in image_targets(data, PlantedModel("instance"), sample)[0]]
    assert [keys["n_same_category"] for keys in found] == [2, 1, 2, 1]
    assert [keys["category"] for keys in found] == ["5", "5", "several", "several"]


def test_an_object_without_outline_is_not_called_no_target():
    data = planted_data(1)
    first = data[0].expressions[0]
    # Object 19 of image 1 has no pixel.
    lost = [dataclasses.replace(first, ann_ids=ids) for ids in ((19,), (-1,))]
    sample = dataclasses.replace(data[0], expressions=tuple(lost))
    assert not target_mask(sample, lost[0]).any()
    assert image_targets(data, PlantedModel(), sample) == ([], (NO_OUTLINE, NO_TARGET))
    assert [
        unusable(expression, target_mask(sample, expression), PlantedModel()) for expression in lost
    ] == [
        NO_OUTLINE,
        NO_TARGET,
    ]
