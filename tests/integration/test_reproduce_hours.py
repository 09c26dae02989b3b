"""The arithmetic behind the hours of a reproduction, against what torch counts on the miniature."""

import pytest
from torch.utils.flop_counter import FlopCounterMode

from litelvlm import load_model, load_refer
from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.reproduce.kinds.ablation_work import ablation_work
from litelvlm.analysis.reproduce.kinds.costs import efficiency_work
from litelvlm.analysis.reproduce.work import Sizes
from litelvlm.analysis.studies import ablations, efficiency
from litelvlm.models.glamm.costs import model_macs
from tests.glamm_parts import conversation, full_prompt
from tests.study_inputs import Method

BUDGETS = (48,)


@pytest.fixture(scope="module")
def model():
    return load_model("embedded")


def sizes_of(model):
    """What the arithmetic needs to know of a model, by its own counts."""
    other = len(model.tokenizer.encode(full_prompt(conversation(["the red ball"])))) - 1
    counts = (model.n_tokens,) * model.n_layers
    parts = model_macs(model, counts, other, 1, 16)
    llama = model.llama.config
    image = parts["clip_image"] + parts["sam_encoder"] + parts["projector"]
    return Sizes(
        llama.num_hidden_layers, llama.hidden_size, llama.intermediate_size, other,
        model.sizes(model.n_tokens), image, parts["mask_decoder"],
    )  # fmt: skip


def counted(work):
    """Multiply-adds of all parts of a study's work."""
    with FlopCounterMode(display=False) as counter:
        for index in range(len(work.sizes or work.data)):
            work.begin(index)()
    return counter.get_total_flops() / 2


@pytest.mark.parametrize(
    ("requests", "most"),
    [(("llm_score", "llm_shapley"), 1.2), (("paper_rule", "rivals", "protocol"), 2.0)],
)
def test_the_hours_of_an_ablation_rest_on_what_it_computes(model, requests, most):
    """Passes that share a beginning are computed once, so the estimate is above the count."""
    config = ablations.Config(
        requests=requests, budgets=BUDGETS, images=None, random_seeds=1, official_seeds=1,
        coalitions=8, pool=8,
    )  # fmt: skip
    data = EvenSubset(load_refer("embedded", split="val"), 1)
    sentences = sum(len(sample.expressions) for sample in data) / len(data)
    found = counted(ablations.STUDY.prepare(model, data, config))
    said = ablation_work(config, [len(data)], [sentences], sizes_of(model)).macs
    assert 0.8 <= said / found <= most


def test_the_hours_of_the_costs_rest_on_what_they_compute(model):
    config = efficiency.Config(
        methods=tuple(map(Method.parse, ("litelvlm", "fastv"))), budgets=BUDGETS, rounds=2,
        warm_up=0, decoded=1,
    )  # fmt: skip
    data = load_refer("embedded", split="val")
    found = counted(efficiency.STUDY.prepare(model, data, config))
    said = efficiency_work(config, sizes=sizes_of(model)).macs
    assert 0.8 <= said / found <= 1.2
