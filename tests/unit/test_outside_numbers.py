"""Outside numbers: each entry has a command that parses and a planted test, which stand here."""

import ast
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from planted import NAMES, PlantedModel, PlantedTextBlock, PlantedTower, planted_data

from litelvlm.analysis.api import complete_run, read_rows
from litelvlm.analysis.cli import VERBS, main
from litelvlm.analysis.pages.audit.entries import entries
from litelvlm.analysis.studies import reversal, sink, sweep
from litelvlm.analysis.studies.published import efficiency
from litelvlm.analysis.studies.scores import SCORES
from litelvlm.analysis.studies.sweep.tables import seed_table
from litelvlm.models.costs import llama_macs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "outside-numbers.md").read_text(encoding="utf-8")
OTHERS = (124, 130)
"""Other tokens of the prompt: 124 meet the published unpruned number, 130 LiteLVLM's two."""


@pytest.mark.parametrize("entry", entries().number, ids=lambda entry: entry.id)
def test_an_entry_has_a_command_that_parses_and_a_test_that_exists(entry):
    _, verb, *rest = shlex.split(entry.command)
    tyro.cli(VERBS[verb], args=rest)
    file, _, name = entry.planted.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_command_and_the_page_have_every_number(capsys):
    assert main(["audit", "--outside"]) == 0
    printed = capsys.readouterr().out
    for entry in entries().number:
        assert entry.published in printed
        assert f"| `{entry.id}` |" in PAGE


class DrawnBlock(PlantedTextBlock):
    """Logits: log 119 at [SOS], twice log 3.5 at referring words, log 3.5 at the nine others.

    So the weights are 119, 2 x 12.25 and 9 x 3.5 of 175: .68, .14 and .18.
    """

    def qkv(self, states):
        queries, _, values = super().qkv(states)
        keys = states * (2**0.5 * torch.tensor([119.0, 3.5]).log()).repeat(3)
        return queries, keys, values


class DrawnTower(PlantedTower):
    """[EOS] pays .68 to [SOS] and .14 to the referring words, as in the published drawing."""

    text_blocks = (DrawnBlock(0.0), DrawnBlock(0.0))

    def word_states(self, input_ids):
        states = super().word_states(input_ids)
        named = torch.isin(input_ids, torch.tensor([self.token(name) for name in NAMES]))
        named[:, :-1] |= named[:, 1:].clone()  # the article too
        states[named] *= 2
        return states


def test_a_planted_sink_of_68_and_14_percent_is_read_back(tmp_path):
    model = PlantedModel()
    model.tower = DrawnTower(model.tower.clip, None)
    config = sink.Config(random_seeds=0)
    folder = complete_run(sink.STUDY, model, planted_data(3), config, tmp_path)
    rows = read_rows(folder)
    asked = rows[(rows.text_mode == "template") & (rows["head"] == -1) & (rows["query"] == "eos")]
    assert (asked.n_tokens == 12).all()
    assert asked.a_sos.to_numpy() == pytest.approx(0.68, abs=1e-6)
    assert asked.content_share.to_numpy() == pytest.approx(0.14, abs=1e-6)
    assert asked.content_uniform.to_numpy() == pytest.approx(2 / 12, abs=1e-6)


def test_a_planted_reversal_has_a_negative_msc(tmp_path):
    config = reversal.Config(random_seeds=0, shifts=2, blobs=0, donors=1, budgets=(8,))
    data = planted_data(4)
    folder = complete_run(reversal.STUDY, PlantedModel(), data, config, tmp_path)
    rows = read_rows(folder)
    primary = rows[
        (rows.probe == "cosine") & (rows.layer == -2) & (rows.control == "none")
        & (rows.text_mode == "template") & (rows.labels == "primary")
    ]  # fmt: skip
    assert len(primary) == 8
    assert (primary.msc < 0).all()
    assert (primary.msc >= -1).all()
    assert (np.sign(primary.msc) == np.sign(primary.gap)).all()
    assert (primary.ri > 0).all()


def drawn_scores(folder):
    """cIoU of each official draw."""
    return (
        seed_table(read_rows(folder), SCORES["ciou"])
        .query("method == 'uniform'")["ciou"]
        .to_numpy()
    )


def test_two_expressions_an_image_leave_nothing_to_draw(tmp_path):
    config = sweep.Config(methods=("uniform",), budgets=(8,), protocol="official", seeds=4)
    folder = complete_run(sweep.STUDY, PlantedModel(), planted_data(6), config, tmp_path)
    assert np.ptp(drawn_scores(folder)) == 0


def test_official_draws_move_the_score_as_much_as_they_must(tmp_path):
    """Three of five expressions an image: the variance of a sum without replacement is known.

    The pixels of every expression are known from a run that asks them all. Each image adds 3 (1 -
    3/5) S^2 to the variance of the sum of z = I - c U, S^2 that of its five expressions. Tokens are
    pruned alike in every run.
    """
    data, model, draws = planted_data(6, objects=5), PlantedModel(), 80
    common = {"methods": ("uniform",), "budgets": (8,)}
    every = complete_run(
        sweep.STUDY, model, data, sweep.Config(**common, protocol="conversation"), tmp_path
    )
    rows = read_rows(every).query("method == 'uniform'")
    assert (rows.groupby("image_id").size() == 5).all()
    ciou = rows["inter_px"].sum() / rows["union_px"].sum()
    z = (rows["inter_px"] - ciou * rows["union_px"]).groupby(rows["image_id"])
    asked = 3 / 5 * rows["union_px"].sum()
    expected = np.sqrt((3 * (1 - 3 / 5) * z.var(ddof=1)).sum()) / asked
    config = sweep.Config(**common, protocol="official", seeds=draws)
    scores = drawn_scores(complete_run(sweep.STUDY, model, data, config, tmp_path))
    assert len(scores) == draws
    assert scores.mean() == pytest.approx(ciou, abs=4 * expected / np.sqrt(draws))
    # That of 80 draws lies within a quarter of the true one with a probability of 0.998.
    assert scores.std(ddof=1) == pytest.approx(expected, rel=0.25)
    few = sweep.Config(**common, protocol="official", seeds=4)
    again = drawn_scores(complete_run(sweep.STUDY, model, data, few, tmp_path / "again"))
    assert again.tolist() == scores[:4].tolist()


def computed_macs(tokens, others):
    """Multiply-adds of the 7B language model in T, tokens pruned before its first layer."""
    return llama_macs(tokens + others, 32, 4096, 11008) / 1e12


def implied_layers(tokens, others, published):
    """Layers of 32 that read all tokens, if the published operations are a drop to ``tokens``."""
    whole, left = computed_macs(576, others), computed_macs(tokens, others)
    return 32 * (published - left) / (whole - left)


def test_the_formula_gives_the_published_operations_where_the_prompt_is_known():
    assert round(computed_macs(576, 124), 2) == 4.66
    assert [round(computed_macs(n, 130), 2) for n in (192, 64)] == [2.11, 1.27]
    # No single prompt meets all three.
    assert round(computed_macs(576, 130), 2) != 4.66
    assert round(computed_macs(192, 124), 2) != 2.11
    published = efficiency().set_index(["quantity", "method", "tokens"])["value"].astype(float)
    macs, prefill = published["multiply-adds (T)"], published["prefill time (ms)"]
    for (method, tokens), value in macs.items():
        ours = ["-", "-"]
        if method != "FastV":  # it prunes inside the language model, by an unknown schedule
            ours = [f"{computed_macs(tokens, others):.2f}" for others in OTHERS]
        share = value / macs["unpruned", 576]
        times = prefill[method, tokens] / prefill["unpruned", 576]
        cells = [method, str(tokens), f"{value:.2f}", *ours, f"{share:.2f}", f"{times:.2f}"]
        assert f"| {' | '.join(cells)} |" in PAGE
        assert (abs(times - share) > 0.4) == (method == "FastV")


def test_the_layers_that_fastv_must_have_run_whole_are_read_back():
    # Planted: 3 of 32 layers with all tokens, the others with 64.
    for others in OTHERS:
        planted = (3 * computed_macs(576, others) + 29 * computed_macs(64, others)) / 32
        assert implied_layers(64, others, planted) == pytest.approx(3)
    implied = [
        [round(implied_layers(tokens, others, value), 1) for others in OTHERS]
        for tokens, value in ((192, 2.65), (64, 2.23))
    ]
    assert implied == [[7.1, 6.6], [9.3, 9.0]]
