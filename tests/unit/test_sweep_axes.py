"""Axes of the sweep.

Presets, methods inside the language model, protocols of several turns, no-target scores.
"""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from planted import PlantedModel, planted_data

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.inputs.official_draws import official_draw
from litelvlm.analysis.studies import sweep
from litelvlm.analysis.studies.sweep.paired import pair_scores
from litelvlm.analysis.studies.sweep.passes import (
    SweepContext,
    expression_passes,
    plan_conversations,
)
from litelvlm.analysis.studies.sweep.tables import no_target_table
from litelvlm.metrics import GREFCOCO_SCORES, grefcoco_scores_of_sums, grefcoco_summands
from litelvlm.models.base import Conversation
from litelvlm.pruning import list_pruners
from litelvlm.pruning.cue_table import SUBSTITUTES
from tests.glamm_parts import conversation
from tests.study_inputs import CONTROL_WORDS, NO_WORDS, NOT_DRAWN, Method, every_method

PIXELS = ("inter_px", "union_px", "pred_px", "target_px")


def with_layers(n_layers):
    """A planted model that says how deep its language model is."""
    model = PlantedModel()
    model.n_layers = n_layers
    return model


# --- methods --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "label",
    [
        "litelvlm",
        "litelvlm(order=raster)",
        "random(seed=3)",
        "litelvlm(order=raster, positions=original)",
        "pyramiddrop(layers=(1, 4, 8))",
        "pyramiddrop(layers=(2,), query_token=seg)",
        "pyramiddrop(layers=None)",
    ],
)
def test_a_label_is_read_back_as_the_method_it_names(label):
    method = Method.parse(label)
    assert method.label == label
    assert sweep.Config(methods=[label]).methods == (method,)


def test_a_preset_is_part_of_the_label_and_of_the_method():
    name, preset = next((n, p) for n, cls in list_pruners().items() for p in cls.presets)
    method = Method.parse(f"{name}:{preset}")
    assert method.label == f"{name}:{preset}"
    settings = list_pruners()[name].presets[preset]
    assert {field: getattr(method.pruner(), field) for field in settings} == dict(settings)
    assert Method(name=name).pruner() != method.pruner()


@pytest.mark.parametrize("layers", ["(1,4,8)", "[1,4,8]", "[1, 4, 8]", "( 1, 4, 8 )"])
def test_layers_are_read_in_either_kind_of_brackets(layers):
    method = Method.parse(f"pyramiddrop(query_token=seg,layers={layers},order=raster)")
    assert method.fields == {"layers": (1, 4, 8), "query_token": "seg", "order": "raster"}
    assert method.pruner().drop_layers(32) == (1, 4, 8)
    assert method.label == "pyramiddrop(layers=(1, 4, 8), order=raster, query_token=seg)"


@pytest.mark.parametrize(
    "label", ["with_uniform(of=random)", "ivc_add_on(of=random)", "restore(of=random)"]
)
def test_a_method_around_random_tokens_draws_with_seeds(label):
    method = Method.parse(label)
    assert method.seeded
    assert [method.pruner(seed).of.seed for seed in (0, 7)] == [0, 7]
    assert method.pruner(7).needs == method.pruner().needs
    config = sweep.Config(methods=(label,), seeds=3)
    context = SweepContext(PlantedModel(), planted_data(1), config, (48,))
    assert [(cell.method, cell.seed, cell.pruner.of.seed) for cell in context.cells(144)] == [
        (label, s, s) for s in range(3)
    ]
    assert not Method.parse(label.replace("random", "fastervlm")).seeded


@pytest.mark.parametrize(
    "text", ["", "litelvlm(", "litelvlm(order)", "litelvlm:no_such_preset", "li telvlm"]
)
def test_a_label_that_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match=r"form|preset"):
        Method.parse(text)


def test_all_stands_for_every_method_in_every_preset():
    labels = [method.label for method in sweep.Config(methods=("all",)).methods]
    assert labels == [method.label for method in every_method()]
    assert sweep.Config(methods="all").methods == every_method()
    expected = {
        n if p == "faithful" else f"{n}:{p}"
        for n, c in list_pruners().items()
        for p in ("faithful", *c.presets)
        if not c.needs & SUBSTITUTES
    }
    assert set(labels) == expected - {"none"}


def test_an_impossible_budget_is_left_out_with_its_reason():
    config = sweep.Config(methods=("fastv", "uniform"), budgets=(48, 16))
    context = SweepContext(with_layers(4), planted_data(1), config, (48, 16))
    cells, excluded = context.cells(144), context.excluded
    # One of four layers before the drop: 144 / 4 = 36 tokens on average already.
    assert [(cell.method, cell.budget) for cell in cells] == [
        ("fastv", 48),
        ("uniform", 48),
        ("uniform", 16),
    ]
    assert [(entry.method, entry.budget) for entry in excluded] == [("fastv", 16)]
    assert "smallest budget is 37" in excluded[0].reason
    # (144 + 3 x 16) / 4 = 48.
    assert cells[0].n_average == 48.0


@pytest.mark.parametrize(("doubled", "exact"), [("background", False), ("object", True)])
def test_doubled_target_pixels_are_wrong_or_the_object(monkeypatch, tmp_path, doubled, exact):
    data = planted_data(1)
    plain = type(data[0]).masks

    def overlapping(sample, expression):
        mask = plain(sample, expression)
        return np.where(mask.cumsum().reshape(mask.shape) % 2, mask * 2, mask)

    monkeypatch.setattr(type(data[0]), "masks", overlapping)
    config = sweep.Config(methods=("none",), doubled=doubled)
    rows = read_rows(complete_run(sweep.STUDY, PlantedModel(), data, config, tmp_path))
    # The planted model finds every pixel when all tokens are kept; about half of them count twice
    # in the target.
    assert bool((rows["inter_px"] == rows["union_px"]).all()) is exact
    assert (rows["pred_px"] == rows["union_px"]).all()


def test_exclusions_and_tokens_per_layer_are_recorded(tmp_path):
    config = sweep.Config(methods=("fastv", "uniform"), budgets=(50, 16), chunk_size=2)
    folder = complete_run(sweep.STUDY, with_layers(4), planted_data(4), config, tmp_path)
    record, rows = read_record(folder), read_rows(folder)
    assert (record.state, record.complete) == ("done", True)
    (entry,) = record.excluded
    assert (entry.method, entry.budget) == ("fastv", 16)
    assert entry.reason.startswith("fastv cannot average 16 of 144")
    tokens = read_summary(folder).table("agreement").set_index(["method", "budget"])
    tokens = tokens[["n_kept", "n_average"]]
    # Tokens enter the model whole; (144 + 3 x 19) / 4 = 50.25 is what comes nearest to 50.
    assert tokens.loc[("fastv", 50)].tolist() == [144, 50.25]
    assert tokens.loc[("uniform", 16)].tolist() == [16, 16]
    assert ("fastv", 16) not in tokens.index
    pair_scores(rows)


def with_sentence(data, number, place, sent):
    """The same data with another sentence in one place."""
    expressions = list(data[number].expressions)
    expressions[place] = dataclasses.replace(expressions[place], sent=sent)
    data[number] = dataclasses.replace(data[number], expressions=tuple(expressions))
    return data


@pytest.mark.parametrize("protocol", ["single", "conversation", "official"])
def test_a_sentence_that_cannot_be_asked_is_left_out_alone(tmp_path, protocol):
    config = sweep.Config(methods=("uniform",), budgets=(16,), seeds=2, protocol=protocol)
    data = with_sentence(with_sentence(planted_data(3), 0, 0, "  "), 1, 1, "the <image> ball")
    folder = complete_run(sweep.STUDY, PlantedModel(), data, config, tmp_path)
    record, rows = read_record(folder), read_rows(folder)
    # Six expressions on three images, of which two cannot be asked.
    assert (record.state, record.counts.expected, record.counts.done, record.counts.failed) == (
        "done",
        6,
        4,
        0,
    )
    assert record.counts.skipped == {NO_WORDS: 1, CONTROL_WORDS: 1}
    asked = {data[0].expressions[1], data[1].expressions[0], *data[2].expressions}
    assert set(rows.sent_id) == {expression.sent_id for expression in asked}
    # What is left has its own mask: all tokens find all of it.
    assert (rows[rows.method == "none"].iou == 1.0).all()


def test_an_image_without_any_askable_sentence_has_no_rows(tmp_path):
    data = with_sentence(with_sentence(planted_data(2), 0, 0, ""), 0, 1, "")
    folder = complete_run(
        sweep.STUDY,
        PlantedModel(),
        data,
        sweep.Config(methods=("uniform",), budgets=(16,)),
        tmp_path,
    )
    assert read_record(folder).counts.skipped == {NO_WORDS: 2}
    assert set(read_rows(folder).image_id) == {data[1].image_id}


# --- the official protocol ------------------------------------------------------------------------


def crowded(n_images=3):
    """Planted images with the expressions of both objects twice: four per image."""
    data = planted_data(n_images)
    for place, sample in enumerate(data):
        twice = [dataclasses.replace(e, sent_id=e.sent_id + 50) for e in sample.expressions]
        data[place] = dataclasses.replace(sample, expressions=(*sample.expressions, *twice))
    return data


OFFICIAL = sweep.Config(methods=("litelvlm", "random"), budgets=(16,), seeds=2, protocol="official")


def test_official_rows_are_the_drawn_turns_with_one_shared_selection(tmp_path):
    model, data = PlantedModel(), crowded()
    folder = complete_run(sweep.STUDY, model, data, OFFICIAL, tmp_path)
    rows = read_rows(folder)
    assert set(rows.protocol) == {"official"}
    assert read_record(folder).protocol == "official"
    for sample in data:
        for seed in (0, 1):
            drawn = official_draw(4, sample.image_id, seed, (16, 5)).expressions
            found = rows[(rows.image_id == sample.image_id) & (rows.seed == seed)]
            for _, cell in found.groupby("method"):
                assert cell.sent_id.tolist() == [
                    sample.expressions[place].sent_id for place in drawn
                ]
    said = [claim.statement for claim in read_summary(folder).claims]
    assert said
    assert all(
        s.endswith(", up to three drawn expressions of an image in one conversation.") for s in said
    )
    # Per image: two draws of the unpruned model, two methods at one budget; three turns each;
    # encoded once.
    assert len(rows) == 3 * 2 * 3 * 3
    assert model.encoded == 3
    assert sum(map(len, model.batches)) == 3 * 2 * 3


def test_expressions_that_no_draw_asked_are_counted(tmp_path):
    folder = complete_run(
        sweep.STUDY, PlantedModel(), crowded(), OFFICIAL.model_copy(update={"seeds": 1}), tmp_path
    )
    counts = read_record(folder).counts
    # One draw asks three of the four expressions of each of three images.
    assert (counts.expected, counts.done, counts.skipped) == (12, 9, {NOT_DRAWN: 3})
    assert read_rows(folder).sent_id.nunique() == counts.done


def test_official_random_draws_with_the_seed_of_its_conversation():
    context = SweepContext(PlantedModel(), planted_data(1), OFFICIAL, (16,))
    sample = context.data[0]
    state = context.model.encode_image(sample.image())
    kept = []
    for number, talk in enumerate(plan_conversations(context.model, OFFICIAL, sample)):
        cues = context.model.cues(state, talk.conversation, key=sample.image_id)
        made = {p.method: p for p in expression_passes(context, number, cues, talk.draw)}
        assert made["random"].seed == made["none"].seed == talk.draw
        kept.append(made["random"].selection.indices.tolist())
    assert kept[0] != kept[1]


def test_a_conversation_asks_every_expression_with_one_shared_selection(tmp_path):
    model, data = PlantedModel(), crowded()
    config = OFFICIAL.model_copy(update={"protocol": "conversation"})
    folder = complete_run(sweep.STUDY, model, data, config, tmp_path)
    rows = read_rows(folder)
    assert read_record(folder).counts.done == 12
    for sample in data:
        found = rows[rows.image_id == sample.image_id]
        for _, cell in found.groupby(["method", "seed"]):
            assert cell.sent_id.tolist() == [
                expression.sent_id for expression in sample.expressions
            ]
    # Per image one pass unpruned, one of litelvlm and one per seed of random; four turns each.
    assert sum(map(len, model.batches)) == 3 * 4
    assert len(rows) == 3 * 4 * 4
    said = [claim.statement for claim in read_summary(folder).claims]
    assert said
    assert all(s.endswith(", all expressions of an image in one conversation.") for s in said)
    (talk,) = plan_conversations(model, config, data[0])
    assert talk.conversation == conversation(
        [expression.sent for expression in data[0].expressions]
    )


class Pointing(PlantedModel):
    """A family with words of its own: two questions, one answer."""

    n_questions, n_answers = 2, 1

    def question(self, expression, question_index=0):
        return ("Point at {}.", "Find {}.")[question_index].format(expression.lower())

    def conversation(self, expressions, question_index=0, answer_index=0):
        n = len(expressions)
        chosen = [question_index] * n if isinstance(question_index, int) else question_index
        asked = tuple(map(self.question, expressions, chosen))
        return Conversation(tuple(e.lower() for e in expressions), asked, ("Here: [SEG].",) * n)


@pytest.mark.parametrize("protocol", ["single", "conversation", "official"])
def test_a_family_is_asked_in_its_own_words(protocol, tmp_path):
    config = sweep.Config(methods=("uniform",), budgets=(16,), seeds=2, protocol=protocol)
    model, sample = Pointing(), crowded()[0]
    for talk in plan_conversations(model, config, sample):
        assert set(talk.conversation.answers) == {"Here: [SEG]."}
        words = [sample.expressions[place].sent.lower() for place in talk.turns]
        for word, asked in zip(words, talk.conversation.questions, strict=True):
            assert asked in (f"Point at {word}.", f"Find {word}.")
    assert len(read_rows(complete_run(sweep.STUDY, model, crowded(), config, tmp_path)))


def test_a_template_that_the_family_lacks_is_refused(tmp_path):
    config = sweep.Config(methods=("uniform",), budgets=(16,), answer_index=1)
    assert complete_run(sweep.STUDY, PlantedModel(), crowded(1), config, tmp_path / "planted")
    with pytest.raises(
        ValueError, match=r"answer_index 1 is not an answer template of planted; .* 0 "
    ):
        complete_run(sweep.STUDY, Pointing(), crowded(1), config, tmp_path / "pointing")


def test_protocols_do_not_mix_in_one_table(tmp_path):
    rows = read_rows(complete_run(sweep.STUDY, PlantedModel(), crowded(), OFFICIAL, tmp_path))
    with pytest.raises(ValueError, match="official and single are mixed"):
        pair_scores(pd.concat([rows, rows.assign(protocol="single")]))


# --- expressions without a target -----------------------------------------------------------------


def test_no_target_scores_are_those_of_the_metrics(tmp_path):
    data = planted_data(6)
    for place in (0, 3):
        sample = data[place]
        lost = dataclasses.replace(sample.expressions[0], ann_ids=(-1,))
        data[place] = dataclasses.replace(sample, expressions=(lost, *sample.expressions[1:]))
    folder = complete_run(
        sweep.STUDY,
        PlantedModel(),
        data,
        sweep.Config(methods=("uniform",), budgets=(16,)),
        tmp_path,
    )
    rows, table = read_rows(folder), read_summary(folder).table("no_target")
    assert (rows.target_px == 0).sum() == 2 * 2
    for (method, budget), cell in rows.groupby(["method", "budget"]):
        pixels = [cell[name].to_numpy() for name in PIXELS]
        summands = grefcoco_summands(*pixels, cell["target_px"].to_numpy() == 0)
        (expected,) = grefcoco_scores_of_sums(summands.sum(axis=0, keepdims=True))
        found = table[(table.method == method) & (table.budget == budget)].set_index("metric").value
        assert found.to_dict() == pytest.approx(
            dict(zip(GREFCOCO_SCORES, expected.tolist(), strict=True))
        )


def test_a_refusal_is_right_only_where_nothing_is_meant():
    # Image 1: nothing meant, 10 pixels predicted: refused, IoU 1. Image 2: 81 pixels meant and 10
    # predicted: a refusal too, IoU 0, its 81 pixels stay in the union. Image 3: 100 of 200 pixels
    # found.
    rows = pd.DataFrame(
        {"image_id": [1, 2, 3], "sent_id": [1, 2, 3], "method": "m", "budget": 8}
        | {"pred_px": [10, 10, 100], "target_px": [0, 81, 200]}
        | {"inter_px": [0, 10, 100], "union_px": [10, 81, 200], "area_frac": [0, 0.1, 0.2]}
    )
    found = no_target_table(rows).set_index("metric")
    assert found.value.to_dict() == pytest.approx(
        {"n_acc": 1.0, "t_acc": 0.5, "giou": (1 + 0 + 0.5) / 3, "ciou": 100 / 281}
    )
    assert found[["n", "n_images"]].to_numpy().tolist() == [[1, 1], [2, 2], [3, 3], [3, 3]]
    # A second draw of a random method adds no expression: image 3 is found with 100 of 200 pixels
    # once, then with 200.
    again = rows.assign(seed=1, pred_px=[10, 10, 200], inter_px=[0, 10, 200])
    both = no_target_table(pd.concat([rows.assign(seed=0), again])).set_index("metric")
    assert both.n.tolist() == [1, 2, 3, 3]
    assert both.value["ciou"] == pytest.approx(150 / 281)


def test_targets_that_are_read_once_count_as_single_ones_do():
    import torch

    from litelvlm.metrics import TargetPixels, count_pixels

    made = torch.Generator().manual_seed(0)
    targets = torch.tensor([0, 1, 2, 255], dtype=torch.uint8)[
        torch.randint(4, (3, 5, 4), generator=made)
    ]
    predicted = torch.rand(6, 1, 5, 4, generator=made) > 0.5
    rows = torch.tensor([[2], [0], [0], [1], [2], [2]])
    for given in (targets, targets.clamp(max=2)):
        found = TargetPixels.of(given).rows(rows).counted(predicted)
        expected = count_pixels(predicted, given[rows])
        assert all(map(torch.equal, found, expected))
        assert found.predicted.shape == (6, 1)
    masks = predicted[:, 0]
    both = TargetPixels.of_masks(masks).counted(masks.roll(1, 0))
    assert all(map(torch.equal, both, count_pixels(masks.roll(1, 0), masks.to(torch.uint8))))
    with pytest.raises(ValueError, match="both must be"):
        TargetPixels.of(targets).counted(predicted[0, :, :4])
