"""Options of `litelvlm study` that reach the sweep or say where it runs."""

import re

import pytest

from litelvlm.analysis.cli import main
from litelvlm.analysis.cli.actions.study import configure, mapper
from litelvlm.analysis.cli.verbs.study import StudyVerb
from litelvlm.analysis.runs.engine import in_process
from litelvlm.analysis.runs.workers.processes import Processes
from litelvlm.analysis.runs.workers.ray import RayWorkers
from litelvlm.analysis.studies import efficiency


def test_options_of_the_sweep_reach_its_configuration():
    verb = StudyVerb(
        names=("sweep",),
        methods=("uniform", "litelvlm(order=raster)"),
        protocol="official",
        seeds=2,
    )
    config = configure(verb, "sweep")
    assert [method.label for method in config.methods] == ["uniform", "litelvlm(order=raster)"]
    assert (config.protocol, config.seeds) == ("official", 2)
    assert configure(StudyVerb(names=("sweep",), batch_size=3), "sweep").batch_size == 3
    assert configure(StudyVerb(names=("sweep",), answer="generated"), "sweep").answer == "generated"


def test_an_option_that_no_chosen_study_has_is_refused():
    with pytest.raises(ValueError, match="has the option --protocol"):
        configure(StudyVerb(names=("sink",), protocol="official"), "sink")


def test_any_field_of_a_chosen_study_can_be_set():
    verb = StudyVerb(
        names=("importance", "reversal"),
        set=("importance.images=null", "reversal.budgets=[48, 8]"),
        seed=3,
    )
    config = configure(verb, "importance")
    assert (config.images, config.seed) == (None, 3)
    assert configure(verb, "reversal").budgets == (48, 8)
    both = StudyVerb(
        names=("all",), budgets=(16,), set=("sink_causal.budgets=[8]", "ablations.images=2")
    )
    assert [configure(both, name).budgets for name in ("sweep", "sink_causal")] == [(16,), (8,)]
    assert configure(both, "ablations").images == 2
    clips = StudyVerb(names=("mechanism",), set=("mechanism.clip=[open_clip:ViT-B-16/openai]",))
    assert configure(clips, "mechanism").clip == ("open_clip:ViT-B-16/openai",)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("images=20", "is not STUDY.FIELD=VALUE, such as importance.images=20"),
        ("sink.margin", "is not STUDY.FIELD=VALUE"),
        ("sinc.margin=1", "unknown study 'sinc'; did you mean 'sink'"),
        ("importance.images=20", "does not run; add importance, or leave it out"),
        (
            "sink.marginn=1",
            "unknown field of sink 'marginn'; did you mean 'margin' or "
            "'share_margin'? Allowed: chunk_size, limit, margin",
        ),
        ("sink.margin=[", "the value cannot be read"),
        ("sink.margin=2020-13-45", "--set sink.margin=2020-13-45: the value cannot be read"),
        ("sink.limit=", "--set sink.limit= has no value; write null for everything"),
        ("sink.random_seeds=-1", "random_seeds"),
        ("sink.random_seeds=2.5", "random_seeds"),
        # Any margin of these would make every difference count as none.
        ("sink.margin=yes", "a value other than yes and no is needed, got True"),
        ("sink.margin=.inf", "margin\n  Input should be a finite number"),
        ("sink.question_index=true", "a value other than yes and no is needed, got True"),
    ],
)
def test_what_cannot_be_set_is_refused_with_what_can(entry, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        configure(StudyVerb(names=("sink",), set=(entry,)), "sink")


def test_one_value_for_a_field_that_holds_several_is_answered_with_how_to_write_them(
    capsys, tmp_path
):
    assert (
        main(["study", "ablations", "--out", str(tmp_path), "--set", "ablations.requests=protocol"])
        == 2
    )
    assert (
        "requests: protocol is not a list; write one in square brackets" in capsys.readouterr().err
    )
    chosen = configure(
        StudyVerb(names=("ablations",), set=("ablations.requests=[protocol]",)), "ablations"
    )
    assert chosen.requests == ("protocol",)


def test_a_field_is_set_once():
    with pytest.raises(ValueError, match=r"names sink\.seed twice"):
        configure(StudyVerb(names=("sink",), set=("sink.seed=1", "sink.seed=2")), "sink")


def test_a_cluster_address_needs_the_engine_that_reads_it():
    with pytest.raises(ValueError, match="add --engine ray"):
        StudyVerb(names=("sweep",), address="auto").refuse_early()


def test_no_workers_are_refused(capsys):
    for engine in ("process", "ray"):
        assert main(["study", "sweep", "--engine", engine, "--workers", "0"]) == 2
        assert "0 workers can compute nothing; ask for at least 1" in capsys.readouterr().err


def test_the_engine_says_where_parts_are_computed():
    asked = StudyVerb(names=("sweep",), engine="ray", workers=3, address="auto")
    workers = mapper(asked, "sweep", Processes(3))
    assert isinstance(workers, RayWorkers)
    assert (workers.count, workers.address) == (3, "auto")
    assert mapper(StudyVerb(names=("sweep",)), "sweep", Processes(1)) is in_process
    assert mapper(StudyVerb(names=("sweep",), workers=2), "sweep", Processes(2)) is not in_process


def test_one_round_has_no_interval_and_is_refused():
    assert efficiency.Config(rounds=2).rounds == 2
    with pytest.raises(ValueError, match=r"rounds\n.*greater than or equal to 2"):
        efficiency.Config(rounds=1)
