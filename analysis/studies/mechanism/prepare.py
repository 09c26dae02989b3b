"""What the mechanism study does before its first row."""

from litelvlm.analysis.inputs.clip_models import clip_work, embed_texts
from litelvlm.analysis.inputs.foreign import draw_foreign
from litelvlm.analysis.runs.work import Work
from litelvlm.analysis.studies.mechanism.config import Config
from litelvlm.analysis.studies.mechanism.dense import PROMPT, categories
from litelvlm.analysis.studies.mechanism.probes import MechanismContext
from litelvlm.analysis.studies.mechanism.rows import clip_rows
from litelvlm.clip.probes.registers import register_neurons
from litelvlm.data.dataset import Dataset
from litelvlm.data.images import open_image
from litelvlm.models.base import TowerModel


def make_context(model: TowerModel, data: Dataset, config: Config, clip: str) -> MechanismContext:
    """Draw foreign expressions, embed shared texts and find register neurons for one model."""
    tower = model.tower
    foreign = draw_foreign(data, model, config.pool, config.seed)
    questions = [model.question(candidate.sent, config.question_index) for candidate in foreign]
    named = categories(data)
    classes = [PROMPT.format(name) for name in named.values()]
    embeds = embed_texts(tower, ["", *questions, *classes])
    empty, texts, class_texts = embeds.split([1, len(questions), len(classes)])
    n_images = 0 if tower.rotates else min(config.neuron_images, len(data))
    pictures = [tower.pixel_values(open_image(data[index].image())) for index in range(n_images)]
    neurons = (
        register_neurons(tower, pictures, config.neurons, config.deviations) if pictures else {}
    )
    return MechanismContext(
        model, data, config, clip, foreign, texts, empty[0], neurons, named, class_texts
    )


def prepare(model: TowerModel, data: Dataset, config: Config) -> Work:
    """Embed all shared texts in every CLIP model; one part of the work for each image."""
    return clip_work(
        model,
        data,
        config.clip,
        lambda one, clip: make_context(one, data, config, clip),
        clip_rows,
        {},
    )
