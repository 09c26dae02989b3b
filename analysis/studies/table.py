"""Studies by name: look one up, or run it from Python."""

from importlib import import_module
from pathlib import Path

from pydantic import ValidationError

from litelvlm.analysis.inputs.image_cache import with_image_cache
from litelvlm.analysis.runs.config import StudyConfig, problems_of
from litelvlm.analysis.runs.engine import Mapper, complete_run
from litelvlm.analysis.runs.folder import read_record
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.runs.messages.events import Watcher, nobody
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.runs.study import Study
from litelvlm.analysis.studies import BENCH, BUNDLED, EVERY_STUDY, STUDIES
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import IdentifiedModel, StudiedModel
from litelvlm.names import check_name


def get_study(name: str) -> Study[StudiedModel, Dataset, StudyConfig]:
    """Import a study on first use.

    Raises:
        ValueError: If it is not in the table.
    """
    check_name(name, EVERY_STUDY, "study")
    found: Study[StudiedModel, Dataset, StudyConfig] = import_module(
        f"litelvlm.analysis.studies.{name}"
    ).STUDY
    return found


def studies_for(model: StudiedModel) -> tuple[str, ...]:
    """Names of the studies that have all they read in a model, the bench included."""
    return tuple(name for name in (*STUDIES, BENCH) if get_study(name).fits(model))


def require_fit(study: Study[StudiedModel, Dataset, StudyConfig], model: StudiedModel) -> None:
    """Refuse a model that lacks what a study reads, and name the studies that can ask it.

    Raises:
        ValueError: If it does.
    """
    if not study.fits(model):
        refusal = study.refusal(model, studies_for(model))
        own = BUNDLED.get(study.name)
        raise ValueError(f"{refusal}; {study.name} takes {own[0]!r}" if own else refusal)


def run_study(
    study: str | Study[StudiedModel, Dataset, StudyConfig],
    model: StudiedModel,
    data: Dataset,
    out: str | Path = "runs",
    *,
    pictures: bool = False,
    accept_versions: bool = False,
    watch: Watcher = nobody,
    cache: str | Path | None = None,
    **options: object,
) -> SavedRun:
    """Run a study and read its results; a run that was interrupted goes on.

    Args:
        study: Its name (`litelvlm ls studies` lists them), or a study of your own.
        model: The model it asks.
        data: The split it asks about.
        out: Folder of all runs.
        pictures: Also save what figures of single examples show.
        accept_versions: Go on with a run that other versions of the libraries began.
        watch: Is called with every ``Event`` of the run, for instance to send it to an experiment
            tracker; a text that it returns stands behind the progress bar.
        cache: Folder where encoded images are kept and read again; None keeps none.
        **options: Fields of the study's configuration, such as ``limit=24``.

    Raises:
        ValueError: If the study or a field does not exist, a value is refused, or there is a cache
            for a model that keeps no encoded images.

    Example:
        >>> run = run_study("sink", model, data, limit=24)  # doctest: +SKIP
        >>> run.interpretation, run.claims, run.rows  # doctest: +SKIP
    """
    chosen = get_study(study) if isinstance(study, str) else study
    if not isinstance(model, IdentifiedModel):
        raise ValueError(
            f"model is {model!r}; load it first, with litelvlm.load_model(...) or load_vlm(...)"
        )
    if not isinstance(data, Dataset):
        raise ValueError(f"data is {data!r}; load it first, with litelvlm.load_refer(...)")
    for name in options:
        check_name(name, tuple(chosen.Config.model_fields), f"field of {chosen.name}")
    try:
        config = chosen.Config.model_validate(options)
    except ValidationError as error:
        raise ValueError(problems_of(error)) from error
    require_fit(chosen, model)
    model = model if cache is None else with_image_cache(model, cache)
    complete = run_with_pictures if pictures else complete_run
    folder = complete(
        chosen, model, data, config, out, accept_versions=accept_versions, watch=watch
    )
    return SavedRun(folder)


def run_with_pictures(
    study: Study[StudiedModel, Dataset, StudyConfig],
    model: StudiedModel,
    data: Dataset,
    config: StudyConfig,
    out: str | Path,
    shard: Shard | None = None,
    mapper: Mapper | None = None,
    accept_versions: bool = False,
    watch: Watcher = nobody,
) -> Path:
    """Complete a run and save the pictures of a finished one; its folder.

    The arguments are those of ``complete_run``.
    """
    require_fit(study, model)
    folder = complete_run(study, model, data, config, out, shard, mapper, accept_versions, watch)
    if study.pictures is not None and read_record(folder).complete:
        study.pictures(model, data, folder, config)
    return folder
