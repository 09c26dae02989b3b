"""Budgets given as a share of the tokens, from Python and from the command line."""

import json

import pytest
import tyro
import yaml

from litelvlm import get_pruner
from litelvlm.analysis.api import complete_run, read_record
from litelvlm.analysis.cli import main
from litelvlm.analysis.cli.actions.study import configure
from litelvlm.analysis.cli.verbs.study import StudyVerb
from litelvlm.analysis.studies import sweep


@pytest.mark.parametrize("name", ["litelvlm", "fastv"])
def test_a_third_of_144_tokens_is_48(model, data, name):
    image, pruner = data[0].image(), get_pruner(name)
    share, count = (
        model.segment(image, "the red circle", pruner, budget) for budget in (1 / 3, 48)
    )
    assert share.logits.equal(count.logits)
    assert share.selection.indices.equal(count.selection.indices)


def test_segment_takes_a_share(data, tmp_path, capsys):
    picture = tmp_path / "picture.png"
    data[0].image().save(picture)
    out = ["--out", str(tmp_path / "mask.png"), "--json"]
    assert (
        main(
            [
                "segment",
                str(picture),
                "the red circle",
                "--pruner",
                "uniform",
                "--budget",
                "0.33",
                *out,
            ]
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    # .33 x 144 = 47.52.
    assert (told["budget"], len(told["masks"][0]["kept"])) == (0.33, 48)
    assert (
        main(
            [
                "segment",
                str(picture),
                "the red circle",
                "--pruner",
                "uniform",
                "--budget",
                "1.5",
                *out,
            ]
        )
        == 2
    )
    assert (
        "budget 1.5 is neither a whole number of tokens from 1 to 144 nor a share"
        in capsys.readouterr().err
    )


def test_a_sweep_records_the_share_and_the_tokens_it_became(model, data, tmp_path):
    verb = tyro.cli(
        StudyVerb, args=["sweep", "--methods", "uniform", "--budgets", "0.25", "8", "--limit", "1"]
    )
    folder = complete_run(sweep.STUDY, model, data, configure(verb, "sweep"), tmp_path)
    assert yaml.safe_load((folder / "config.yaml").read_text())["config"]["budgets"] == [36, 8]
    assert "budgets asked for: 0.25, 8; as tokens: 36, 8" in read_record(folder).notes
