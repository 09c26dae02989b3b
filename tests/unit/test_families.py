"""The table of model families, which the command line loads models by."""

from pathlib import Path
from types import MappingProxyType

import pytest
from planted import PlantedModel, planted_data

from litelvlm.analysis.api import read_record
from litelvlm.analysis.cli import main
from litelvlm.analysis.cli.actions import study as work_of_study
from litelvlm.analysis.cli.actions.loading import load_as, model_of, studied_of
from litelvlm.analysis.cli.verbs.bench import Bench
from litelvlm.analysis.cli.verbs.segment import Segment
from litelvlm.analysis.cli.verbs.study import StudyVerb
from litelvlm.analysis.runs.folder import read_rows
from litelvlm.models import families
from litelvlm.models.families import ModelFamily
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.options import ModelOptions


def load(request):
    signal = request.name.removeprefix("planted:") if ":" in request.name else "instance"
    model = PlantedModel(signal)
    model.tower.lacks = {"text_attention": "its words are made up"}
    return model


PLANTED = ModelFamily(
    name="planted", prefix="planted:", model_type="Planted+", model=PlantedModel, load=load
)


@pytest.fixture
def third(monkeypatch):
    """The table with one line more."""
    table = MappingProxyType({**families.FAMILIES, PLANTED.name: PLANTED})
    monkeypatch.setattr(families, "FAMILIES", table)


@pytest.mark.parametrize(
    ("name", "family"),
    [("embedded", "glamm"), ("owner/name", "glamm"), ("vlm:embedded", "vlm"), ("vlm:o/n", "vlm")],
)
def test_a_name_belongs_to_the_family_of_its_prefix(name, family):
    assert families.family_for(name) is families.FAMILIES[family]
    assert families.FAMILIES[family].name == family


@pytest.mark.usefixtures("third")
def test_a_third_family_is_one_line_and_the_command_line_asks_it(monkeypatch, tmp_path):
    monkeypatch.setattr(work_of_study, "data_of", lambda verb: planted_data(2))
    asked = ["--set", "sweep.methods=[none,litelvlm]", "sweep.budgets=[24]"]
    command = ["study", "sweep", "--model", "planted:instance", *asked, "--out", str(tmp_path)]
    assert main(command) == 0
    (folder,) = tmp_path.glob("sweep-*")
    record, rows = read_record(folder), read_rows(folder)
    assert (record.model["name"], record.state) == ("planted", "done")
    assert set(rows["method"]) == {"none", "litelvlm"}
    assert (rows.loc[rows["method"] == "none", "iou"] == 1).all()


@pytest.mark.usefixtures("third")
def test_a_family_gets_the_name_and_every_option_that_it_takes():
    assert model_of(StudyVerb(names=("sweep",), model="planted:background")).tower.signal == (
        "background"
    )
    with pytest.raises(ValueError, match="--quantise goes with a GLaMM; leave it out for planted"):
        studied_of(Bench(model="planted:instance", quantise="int8"))
    with pytest.raises(ValueError, match="--random-init goes with a GLaMM or a VideoGLaMM or "):
        studied_of(Bench(model="planted:instance", random_init=True))
    with pytest.raises(
        ValueError, match="planted:instance cannot keep encoded images, a GLaMM can"
    ):
        studied_of(StudyVerb(names=("sweep",), model="planted:instance", cache=Path("kept")))
    verb = Segment(image=Path("x.png"), text=("a",), model="planted:instance")
    with pytest.raises(ValueError, match="needs a GLaMM, and planted:instance is a model that ans"):
        load_as(verb, Glamm)


def test_without_its_line_a_family_is_unknown():
    with pytest.raises(ValueError, match="planted:instance"):
        studied_of(StudyVerb(names=("sweep",), model="planted:instance", device="cpu"))


@pytest.mark.usefixtures("third")
def test_a_folder_tells_its_family_and_takes_what_the_family_takes(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "Planted+"}')
    assert families.family_for(str(tmp_path)) is PLANTED
    assert isinstance(families.load_model(tmp_path, device="cpu"), PlantedModel)
    with pytest.raises(ValueError, match=r"quantise='int8' does not go with .*; leave it out"):
        families.load_model(tmp_path, quantise="int8")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        families.load_model(tmp_path)


def test_options_of_another_family_and_models_without_masks_are_refused():
    with pytest.raises(ValueError, match="ModelOptions are no options of embedded; give Glamm"):
        families.load_model("embedded", options=ModelOptions())
    with pytest.raises(ValueError, match="gives no masks; load it with load_vlm"):
        families.load_model("vlm:embedded")
