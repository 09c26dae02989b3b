"""The quantisation study on planted models, whose losses, tokens and blank masks are known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from planted import PATCH, PlantedModel, planted_data
from planted_studies import paired

from litelvlm.analysis.runs.claims import effect_claim
from litelvlm.analysis.runs.columns import check_rows
from litelvlm.analysis.studies.quantisation import Config, interpret, make_claims, make_tables
from litelvlm.analysis.studies.quantisation.factorial import Factorial
from litelvlm.analysis.studies.quantisation.prepare import work_of
from litelvlm.analysis.studies.quantisation.rows import COLUMNS
from litelvlm.analysis.studies.scores import SCORES

METHODS = ("mask_oracle(share=1.0)", "llm_attention", "uniform")
CONFIG = Config(precisions=("nf4",), methods=METHODS, budgets=(48, 16), images=None, expressions=1)
SIZES = {
    "none": {"language_model": 900, "clip": 96, "visual_kv": 4},
    "nf4": {"language_model": 300, "clip": 96, "visual_kv": 4},
}
PATCHES = 9
"""Patches of every object."""


class FewerBits(PlantedModel):
    """A planted model that loses patches of an object, and attends to other tokens.

    Args:
        lost: Patches lost with every token.
        lost_pruned: Patches lost with fewer tokens.
        blank: Share of expressions, by their place, whose mask is empty with fewer tokens.
        shift: Tokens by which its attention is moved.
    """

    def __init__(self, lost=0, lost_pruned=0, blank=0.0, shift=0):
        super().__init__()
        self.lost, self.lost_pruned, self.blank, self.shift = lost, lost_pruned, blank, shift

    def one(self, state, conversation, selection):
        found = super().one(state, conversation, selection)
        lost = self.lost if selection is None else self.lost_pruned
        logits = found.logits.clone()
        patches = logits[:, 0].unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH)[0]
        for row, column in (patches[..., 0, 0] > 0).nonzero()[:lost].tolist():
            patches[row, column] = -1.0
        if selection is not None and self.blank and int(state.codes.sum()) % 2:
            logits[:] = -1.0
        return dataclasses.replace(found, logits=logits)

    def cues(self, state, conversation, coverage=None, key=0):
        cues = super().cues(state, conversation, coverage, key)
        attention = cues.get("llm_attention").roll(self.shift, 0)
        return cues.replaced(llm_attention=attention)


def rows_of(model, config=CONFIG, data=None):
    models = {"none": PlantedModel(), "nf4": model}
    work = work_of(models, SIZES, planted_data(24) if data is None else data, config)
    rows = [row for index in range(len(work.data)) for row in work.begin(index)().rows]
    check_rows(rows, COLUMNS)
    return models, pd.DataFrame(rows)


def by_id(rows, config=CONFIG):
    return {claim.id: claim for claim in make_claims(rows, config)}


def test_every_precision_has_every_cell_on_the_same_expressions_and_one_encoded_image():
    models, rows = rows_of(FewerBits(lost=1, lost_pruned=1))
    assert not rows.duplicated(["precision", "sent_id", "method", "budget", "seed"]).any()
    assert (rows.groupby(["precision", "sent_id"]).size() == 1 + 3 * 2).all()
    sent = rows.groupby("precision")["sent_id"].agg(set)
    assert sent["none"] == sent["nf4"]
    assert (models["none"].encoded, models["nf4"].encoded) == (24, 0)
    assert rows.loc[rows.precision == "none", "jaccard"].isna().all()
    assert rows.loc[rows.method == "none", "jaccard"].isna().all()
    pruned = rows[(rows.precision == "nf4") & (rows.method != "none")]
    assert pruned["jaccard"].notna().all()
    assert set(rows.loc[rows.reads_llm, "method"]) == {"llm_attention"}
    sizes = rows[rows.method == "none"].groupby("precision")["bytes_language_model"].agg(set)
    assert sizes.to_dict() == {"none": {900}, "nf4": {300}}
    assert rows.loc[rows.method != "none", "bytes_clip"].isna().all()


def test_methods_that_keep_to_no_budget_are_refused_by_name():
    config = CONFIG.model_copy(update={"methods": Config(methods=("fastv", "random")).methods})
    _, rows = rows_of(FewerBits(), config)
    assert set(rows["method"]) == {"none", "random"}
    alone = config.model_copy(update={"methods": config.methods[:1]})
    with pytest.raises(ValueError, match=r"no method can keep to a budget: fastv at 48: .* layer"):
        rows_of(FewerBits(), alone)


def test_losses_that_add_up_have_no_interaction():
    _, rows = rows_of(FewerBits(lost=1, lost_pruned=1))
    table = make_tables(rows, CONFIG)["interactions"].set_index(["method", "budget"])
    line = table.loc["mask_oracle(share=1.0)", 48]
    assert line.loss_pruned == 0.0  # 48 tokens hold the nine of the object
    assert line.loss_quantised == line.loss_both == pytest.approx(1 / PATCHES)
    assert line.interaction == pytest.approx(0.0, abs=1e-12)
    claims = by_id(rows)
    assert claims["loss.nf4"].verdict == "supported"
    assert claims["loss.nf4"].estimate == pytest.approx(1 / PATCHES)
    assert claims["interaction.nf4@48"].verdict == "not supported"  # shown to be below the margin
    assert claims["interaction.nf4@48"].n_images == 24


def test_a_planted_interaction_is_found_with_its_size_and_reaches_over_categories():
    _, rows = rows_of(FewerBits(lost=1, lost_pruned=4))
    claims = by_id(rows)
    claim = claims["interaction.nf4@48"]
    assert claim.verdict == "supported"
    assert claim.estimate == pytest.approx(3 / PATCHES)
    assert "other categories (5 seen)" in claim.generalises
    assert claim.low_categories <= claim.low
    assert claims["interaction.nf4"].verdict == "supported"
    both = [claims[f"interaction.nf4@{budget}"].estimate for budget in (48, 16)]
    assert claims["interaction.nf4"].estimate == pytest.approx(np.mean(both))
    told = interpret(make_claims(rows, CONFIG), make_tables(rows, CONFIG))
    assert "nf4 lowers the cIoU by itself, and pruning costs more with it than without" in told


def test_the_interaction_is_the_hand_computed_one():
    _, rows = rows_of(FewerBits(lost=1, lost_pruned=2, shift=5))
    sums = rows.groupby(["precision", "method", "budget"])[["inter_px", "union_px"]].sum()
    ciou = sums.inter_px / sums.union_px
    table = make_tables(rows, CONFIG)["interactions"]
    assert len(table) == 6
    for line in table.itertuples():
        cell = (line.method, line.budget)
        whole = ciou["none", "none", 144]
        parts = [
            whole - ciou["nf4", "none", 144],
            whole - ciou[("none", *cell)],
            whole - ciou[("nf4", *cell)],
        ]
        drawn = [line.loss_quantised, line.loss_pruned, line.loss_both]
        np.testing.assert_allclose(drawn, parts, atol=1e-12)
        assert line.interaction == pytest.approx(parts[2] - parts[0] - parts[1], abs=1e-12)
        assert line.low - 1e-12 <= line.interaction <= line.high + 1e-12
        assert line.p_holm >= line.p


def tower_choice(rows):
    """Place of one choice of a method that reads only the towers, with fewer bits."""
    return rows.index[~rows["reads_llm"].astype(bool) & (rows["precision"] == "nf4")][0]


def test_tokens_change_for_methods_that_read_the_language_model_and_for_no_other():
    _, rows = rows_of(FewerBits(shift=72))
    claims = by_id(rows)
    assert claims["kept.control"].verdict == "supported"
    assert claims["kept.control"].estimate == 1.0
    other = rows.assign(jaccard=rows["jaccard"].where(rows.index != tower_choice(rows), 0.5))
    assert by_id(other)["kept.control"].verdict == "not supported"
    assert claims["kept.nf4"].verdict == "not supported"
    assert claims["kept.nf4"].estimate < 0.6
    kept = make_tables(rows, CONFIG)["kept"]
    assert (kept.loc[~kept.reads_llm, "jaccard"] == 1.0).all()
    moved = rows[(rows.precision == "nf4") & (rows.method == "llm_attention")]
    line = kept[(kept.method == "llm_attention") & (kept.budget == 16)].iloc[0]
    assert line.jaccard == pytest.approx(moved.loc[moved.budget == 16, "jaccard"].mean())


def test_blank_masks_are_counted():
    data = planted_data(24)
    _, rows = rows_of(FewerBits(blank=1.0), data=data)
    odd = sum(int(sample.codes.sum()) % 2 for sample in data)
    assert 0 < odd < 24
    table = make_tables(rows, CONFIG)["blanks"].set_index(["precision", "method", "budget"])
    assert table.loc[("nf4", "mask_oracle(share=1.0)", 48), "blank"] == odd
    assert table.loc[("nf4", "none", 144), "blank"] == 0
    assert table.loc[("none", "mask_oracle(share=1.0)", 48), "blank"] == 0
    assert table.loc[("nf4", "mask_oracle(share=1.0)", 48), "share"] == pytest.approx(odd / 24)
    claim = by_id(rows)["blank.nf4"]
    assert claim.verdict == "supported"
    first = [row for row in ("llm_attention",) if row in claim.statement]
    assert first == ["llm_attention"]
    cells = rows[rows.method.isin(["none", "llm_attention"])]
    shares = cells.groupby("precision")["blank"].mean()
    assert claim.estimate == pytest.approx(shares["nf4"] - shares["none"])


def test_a_mask_that_must_be_empty_is_not_counted_as_blank():
    _, rows = rows_of(FewerBits(blank=1.0))
    nothing = rows.assign(area_frac=0.0)
    assert make_tables(nothing, CONFIG)["blanks"].empty
    assert "blank.nf4" not in by_id(nothing)


def test_memory_is_the_sum_of_its_parts_and_pruning_shrinks_one_of_them():
    _, rows = rows_of(FewerBits())
    tables = make_tables(rows, CONFIG)
    sizes = tables["memory"].set_index(["precision", "budget", "component"])["bytes"]
    assert sizes["none", 144, "visual_kv"] == 4
    assert sizes["none", 48, "visual_kv"] == 1
    assert sizes["none", 48, "clip"] == sizes["nf4", 144, "clip"] == 96
    savings = tables["savings"].set_index(["precision", "budget"])
    assert savings.loc[("none", 48), "saved"] == pytest.approx(3 / 1000)
    assert savings.loc[("nf4", 144), "saved"] == pytest.approx(0.6)
    assert savings.loc[("nf4", 16), "saved"] == pytest.approx(0.604)
    published = savings["published"]
    assert {key for key in published.index if published[key]} == {("none", 48), ("none", 16)}
    claim = by_id(rows)["memory.pruning"]
    assert (claim.verdict, claim.estimate) == ("supported", pytest.approx(4 / 1000))
    heavy = rows.assign(bytes_visual_kv=rows["bytes_visual_kv"] * 100)
    assert by_id(heavy)["memory.pruning"].verdict == "not supported"


def factorials(truth, n_studies=200, images=60, seed=0):
    """Simulated factorials of one method in one precision; ``truth`` holds four shares of cIoU."""
    rng = np.random.default_rng(seed)
    names = (("none in none", 144), ("none in nf4", 144), ("m in none", 48), ("m in nf4", 48))
    image_ids = np.repeat(np.arange(images), 2)
    for number in range(n_studies):
        common = rng.normal(0, 10, images)[image_ids][:, None]
        own = rng.normal(0, 8, (images, 4))[image_ids] + rng.normal(0, 8, (2 * images, 4))
        union = rng.uniform(50, 150, images)[image_ids][:, None] * np.ones(4)
        inter = union * (60 * np.array(truth) + common + own) / 100
        made = paired(names, inter, union, image_ids, seed=number)
        yield Factorial(made, SCORES["ciou"], ("nf4",), (("m", 48),), 144)


@pytest.mark.parametrize(("both", "low", "high"), [(0.70, 0.0, 0.06), (0.45, 0.9, 1.0)])
def test_the_interaction_keeps_its_level_where_losses_add_up_and_finds_what_was_put_in(
    both, low, high
):
    verdicts = []
    for made in factorials((1.0, 0.9, 0.8, both)):
        effect = made.interaction("nf4", (("m", 48),))
        verdicts.append(effect_claim("i", "It costs more.", effect.over_images, "0").verdict)
    assert low <= np.mean([verdict == "supported" for verdict in verdicts]) <= high


def test_the_configuration_refuses_what_cannot_be_crossed():
    with pytest.raises(ValueError, match="precisions occur twice: nf4, nf4; name each once"):
        Config(precisions=("nf4", "nf4"))
    with pytest.raises(ValueError, match="no method prunes"):
        Config(methods=("none",))
    with pytest.raises(ValueError, match="'int8', 'nf4', 'nf4_double' or 'fp4'"):
        Config(precisions=("int4",))
