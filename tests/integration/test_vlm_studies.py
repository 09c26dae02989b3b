"""LLaVA-1.5 and Qwen2.5-VL in studies: targets, attention, scores, runs and refusals."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from litelvlm import get_pruner, load_model, load_vlm
from litelvlm.analysis.cli.actions.loading import model_of, studied_of
from litelvlm.analysis.cli.verbs.segment import Segment
from litelvlm.analysis.cli.verbs.study import StudyVerb
from litelvlm.analysis.runs.engine import CODE, prepare
from litelvlm.analysis.runs.folder import read_rows
from litelvlm.analysis.signals.clip_scores import token_scores
from litelvlm.analysis.signals.gradients import input_signals
from litelvlm.analysis.studies import BENCH, STUDIES, reversal
from litelvlm.analysis.studies.table import get_study, run_study, studies_for
from litelvlm.clip.load import load_tower
from litelvlm.models.base import GroundingModel, TowerModel
from litelvlm.models.vlm.prompts import QUESTIONS, question
from litelvlm.pruning.layers.drops import middle_layers
from litelvlm.pruning.methods.similarity import LowSimilarity
from tests.glamm_parts import EMBEDDED
from tests.tiny_vlms.folder import qwen_processor, tiny_qwen, write_tiny
from tests.tiny_vlms.models import tiny_vlm

KINDS = ("llava", "qwen2_5_vl")
CLIP = EMBEDDED["embedded"] / "clip"
FAST = {"random_seeds": 0, "pool": 12, "shifts": 12, "blobs": 2, "donors": 2}
SUBSTITUTES = {"input_similarity", "llm_attention", "received_attention", "tower_value_norm"}


@pytest.fixture(params=KINDS)
def model(request, models):
    return models[request.param]


@pytest.fixture
def exact(model):
    """The same model in float64, as an object."""
    return replace(model, network=deepcopy(model.network).double())


def asked(model, sample):
    return model.query(sample.image(), sample.expressions[0].sent)


def full_call(query, mask=None):
    """The model's own forward on pixels, question and answer."""
    picture, ids = query.picture, query.answered.ids
    given = picture.arguments(ids[None])
    if mask is not None:
        given["attention_mask"] = mask
        positions = picture.positions(ids)[:, None]
        given["position_ids"] = positions[0] if len(positions) == 1 else positions
    with torch.no_grad():
        return picture.network(**given, **picture.tensors)


def answer_log_prob(query, logits):
    start, answer = len(query.answered.prompt.ids), query.answered.answer
    words = logits[0, start - 1 : start - 1 + len(answer)].log_softmax(-1)
    return float(words[torch.arange(len(answer)), answer].sum())


@pytest.mark.parametrize("size", [(168, 210), (210, 168), (90, 300), (168, 168)])
def test_a_view_says_where_tokens_lie_before_the_model_runs(model, sample, size):
    picture = sample.image().resize(size)
    view = model.view(size[1], size[0])
    assert len(model.encode(picture).features) == view.n_tokens
    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    mask[:, : size[0] // 2] = 1
    covered = view.coverage(mask).reshape(view.layout.grid)
    half = view.layout.grid[1] // 2
    assert (covered[:, : half - 1] == 1).all()
    assert (covered[:, half + 1 :] == 0).all()


def test_the_target_is_the_log_likelihood_of_the_own_answer(model, sample):
    query = asked(model, sample)
    targets = query.targets()
    given = query.picture.arguments(query.answered.prompt.ids[None])
    said = model.network.generate(
        **given, **query.picture.tensors, max_new_tokens=16, do_sample=False
    )[0, len(query.answered.prompt.ids) :]
    assert said[: len(query.answered.answer)].tolist() == query.answered.answer.tolist()
    ours = float(targets(targets.visual[None])[0, 0])
    assert ours == pytest.approx(answer_log_prob(query, full_call(query).logits), abs=1e-4)
    assert ours < 0


def test_deleting_tokens_equals_masking_them(exact, sample):
    query = asked(exact, sample)
    targets = query.targets()
    generator = torch.Generator().manual_seed(0)
    kept = torch.rand(3, targets.n_tokens, generator=generator) < torch.tensor(
        [[0.2], [0.5], [0.8]]
    )
    deleted, hidden = targets.keeping(kept, batch_size=2), targets.hiding(~kept)
    torch.testing.assert_close(deleted, hidden, rtol=0, atol=1e-10)
    for row, value in zip(kept, deleted, strict=True):
        mask = torch.ones(1, targets.length, dtype=torch.long)
        mask[0, targets.start : targets.start + targets.n_tokens] = row.long()
        reference = answer_log_prob(query, full_call(query, mask).logits)
        assert float(value) == pytest.approx(reference, abs=1e-9)
    assert len({round(float(v), 6) for v in deleted}) == 3
    nothing = targets.keeping(torch.zeros(1, targets.n_tokens, dtype=torch.bool))
    assert torch.isfinite(nothing).all()


def test_gradients_are_those_of_finite_differences(exact, sample):
    targets = asked(exact, sample).targets()
    signals = input_signals(targets, 0)
    visual = targets.visual.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(targets(visual[None])[0, 0], visual)
    # Norms compute in float32 even here, so the step must stand out from their rounding.
    step = 0.02
    for token in gradient.norm(dim=1).topk(3).indices:
        direction = torch.zeros_like(gradient)
        direction[token] = gradient[token] / gradient[token].norm()
        moved = [targets.visual + sign * step * direction for sign in (1, -1)]
        with torch.no_grad():
            ends = targets(torch.stack(moved))[:, 0]
        slope = float(ends[0] - ends[1]) / (2 * step)
        assert slope == pytest.approx(float(gradient[token].norm()), rel=0.01)
    np.testing.assert_allclose(signals["saliency"], gradient.norm(dim=1), rtol=1e-5)
    product = (gradient * targets.visual).sum(1)
    np.testing.assert_allclose(signals["input_x_gradient"], product, rtol=1e-5, atol=1e-9)
    assert all(p.grad is None for p in exact.network.parameters())


def test_attention_rows_are_those_of_the_eager_model(model, sample):
    query = asked(model, sample)
    network = deepcopy(model.network)
    network.set_attn_implementation("eager")
    ids = query.answered.ids
    given = query.picture.arguments(ids[None])
    with torch.no_grad():
        maps = network(**given, **query.picture.tensors, output_attentions=True).attentions
    prompt, said = query.answered.prompt, len(query.answered.answer)
    image = slice(prompt.start, prompt.start + prompt.n_tokens)
    last = len(prompt.ids) - 1
    stacked = torch.stack([layer[0] for layer in maps])
    torch.testing.assert_close(
        query.attention_rows("last_prompt"), stacked[:, :, last, image], rtol=0, atol=1e-5
    )
    answer = stacked[:, :, last : last + said, image].mean(2)
    torch.testing.assert_close(query.attention_rows(), answer, rtol=0, atol=1e-5)


def test_scores_of_llava_are_those_of_its_clip(models, sample):
    model, tower = models["llava"], load_tower(CLIP, device="cpu")
    query = asked(model, sample)
    cues = query.cues()
    image = tower.image(tower.pixel_values(sample.image()))
    text = tower.text([query.sentence]).text_embeds
    torch.testing.assert_close(cues.get("patch_embeds"), image.patch_embeds[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(cues.get("text_embeds"), text, rtol=0, atol=1e-5)
    scores = token_scores(query, np.zeros(144), np.random.default_rng(0))
    alike = LowSimilarity().score(cues.replaced(patch_embeds=image.patch_embeds[0]))
    assert np.argsort(scores["low_similarity"]).tolist() == alike.argsort(stable=True).tolist()


def test_substitutes_are_what_they_say(model, sample):
    sentence = question("the red circle")
    scores = model.text_scores(sample.image(), [sentence, "What?"])
    picture = model.encode(sample.image())
    prompt = model.prompter.prompt(sentence, picture.view.n_tokens)
    words = prompt.ids[prompt.start + prompt.n_tokens :]
    mean = model.network.get_input_embeddings()(words).mean(0, keepdim=True)
    by_hand = torch.nn.functional.cosine_similarity(picture.features, mean)
    torch.testing.assert_close(scores["input_similarity"][0], by_hand, rtol=0, atol=1e-5)
    query = model.query(sample.image(), "the red circle")
    rows = query.attention_rows("last_prompt")
    torch.testing.assert_close(
        scores["llm_attention"][0], rows[middle_layers(len(rows))].mean((0, 1)), rtol=0, atol=1e-5
    )
    assert not torch.equal(scores["input_similarity"][0], scores["input_similarity"][1])
    fixed = model.image_scores(sample.image())
    assert set(fixed) >= {"received_attention", "tower_value_norm"}


def test_reversal_of_llava_is_that_of_its_clip_and_of_substitutes(models, data, tmp_path):
    glamm = load_model("embedded", device="cpu")
    glamm.question = models["llava"].question
    own = run_study("reversal", glamm, data, tmp_path, limit=2, **FAST)
    run = run_study("reversal", models["llava"], data, tmp_path, limit=2, **FAST)
    ranked = run.rows[run.rows["clip_model"] == ""].reset_index(drop=True)
    columns = ["sent_id", "probe", "layer", "control", "n_in"]
    assert ranked[columns].equals(own.rows[columns])
    np.testing.assert_allclose(ranked["ri"], own.rows["ri"], rtol=0, atol=1e-9)
    substitutes = set(run.rows["clip_model"]) - {""}
    assert substitutes == SUBSTITUTES


def test_reversal_of_qwen_has_a_measured_sign_per_substitute(models, data, tmp_path):
    run = run_study("reversal", models["qwen2_5_vl"], data, tmp_path, limit=2, **FAST)
    rows = run.rows
    assert "" not in set(rows["clip_model"])
    signs = rows[(rows["control"] == "none") & (rows["labels"] == "primary")]
    assert set(signs["probe"]) == SUBSTITUTES
    # A text-guided substitute has controls of the text, the others have none.
    texts = rows[rows["control"].isin(["other_text", "no_text"])]
    assert set(texts["probe"]) == {"input_similarity", "llm_attention"}
    assert {"other_masks", "moved_mask", "random_blobs", "text_free", "oracle"} <= set(
        rows["control"]
    )
    oracle = rows[rows["control"] == "oracle"]
    assert (oracle["ri"] == -1).all()
    assert "H1.sign@received_attention" in set(run.claims["id"])


@pytest.mark.parametrize("kind", KINDS)
def test_importance_and_faithfulness_ask_the_answer(kind, models, data, tmp_path):
    model = models[kind]
    run = run_study(
        "importance", model, data, tmp_path, images=2, checked=1, sampled=0, mean_images=1
    )
    plain = run.rows[run.rows["control"] == "none"]
    assert set(plain["target"]) == {"", "answer_log_prob"}
    assert {"attention", "saliency", "input_x_gradient", "leave_one_out"} <= set(plain["signal"])
    lead = "low_similarity" if kind == "llava" else "low_input_similarity"
    assert lead in set(plain["score"])
    faith = run_study(
        "faithfulness", model, data, tmp_path, images=2, steps=3, removals=4, coalitions=12
    )
    assert {lead, f"{lead}_moved", "input_x_gradient", "attention_middle"} <= set(
        faith.rows["ranking"]
    )
    ends = faith.rows[faith.rows["metric"] == "insertion"].groupby(["sent_id", "k"])["value"]
    # Whatever the order, nothing and everything are the same tokens.
    assert ends.nunique().groupby("k").max().iloc[[0, -1]].tolist() == [1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_bench_times_the_language_model(kind, models, data, tmp_path):
    model = models[kind]
    run = run_study(
        "efficiency",
        model,
        data,
        tmp_path,
        methods=("litelvlm", "divprune", "fastv"),
        budgets=(64, 32),
        rounds=2,
        warm_up=0,
        decoded=2,
    )
    costs = run.rows[run.rows["round"] < 0].set_index(["metric", "method", "k", "component"])
    value, n = costs["value"], model.view(data[0].height, data[0].width).n_tokens
    for method, k in (("none", n), ("divprune", 64), ("divprune", 32), ("fastv", 64)):
        formula = value["analytic_macs", method, k, "llm"]
        counted = value["counted_macs", method, k, "llm"]
        # FastV's layers are ranked by attention rows that the formula leaves out.
        assert counted == pytest.approx(formula, rel=0.1 if method == "fastv" else 1e-9)
    assert value["kv_bytes", "divprune", 64, "llm"] < value["kv_bytes", "none", n, "llm"]
    timed = run.rows[run.rows["round"] >= 0]
    assert {"llm", "decode", "end_to_end", "image_tower", "selection"} <= set(timed["component"])
    assert (timed["value"] > 0).all()
    left_out = {(line.method, line.budget) for line in run.record.excluded}
    # In a model of three layers FastV reads too much of the first two to average 32 tokens.
    clip_alone = {("litelvlm", k) for k in (n, 64, 32)}
    assert left_out == {("fastv", 32)} | (set() if kind == "llava" else clip_alone)
    if kind == "llava":
        whole = value["counted_macs", "litelvlm", n, "llm"]
        assert whole == value["counted_macs", "none", n, "llm"]
    if kind != "llava":
        with pytest.raises(ValueError, match="no method can be timed on this model: litelvlm at"):
            run_study("efficiency", model, data, tmp_path / "none", methods=("litelvlm",))
    with pytest.raises(ValueError, match="leave n_texts at 1"):
        run_study("efficiency", model, data, tmp_path / "two", n_texts=(2,), rounds=2)


def test_studies_that_need_masks_name_those_that_do_not(models, data, tmp_path):
    qwen = models["qwen2_5_vl"]
    able = "reversal, emergence, importance, faithfulness"
    with pytest.raises(ValueError, match=f"answers with masks.*{able}"):
        run_study("sweep", qwen, data, tmp_path)
    with pytest.raises(ValueError, match="study sink needs a model with both towers of CLIP"):
        run_study("sink", qwen, data, tmp_path)
    with pytest.raises(ValueError, match="answers in words and gives no masks"):
        model_of(Segment(image=Path("x.png"), text=("a",), model="vlm:some/model"))


def test_the_command_line_takes_a_folder(folders, tmp_path, capsys):
    verb = StudyVerb(
        names=("reversal",),
        model=f"vlm:{folders['qwen2_5_vl']}",
        device="cpu",
        limit=1,
        out=tmp_path,
        set=tuple(f"reversal.{name}={value}" for name, value in FAST.items()),
    )
    assert verb.run() == 0
    (folder,) = tmp_path.glob("reversal-*")
    assert "the substitute input_similarity" in capsys.readouterr().out
    assert set(read_rows(folder)["probe"]) >= {"input_similarity", "llm_attention"}
    with pytest.raises(ValueError, match="--options goes with a GLaMM"):
        studied_of(replace(verb, options=("read=seg",)))


def test_the_key_of_a_run_follows_weights_and_code(folders, models, data, tmp_path):
    config = reversal.Config(limit=1, **FAST)
    other = load_vlm(write_tiny("qwen2_5_vl", tmp_path / "other", seed=1), device="cpu")
    model = models["qwen2_5_vl"]
    keys = [prepare(reversal.STUDY, one, data, config).key for one in (model, other)]
    assert keys[0].model["digest"] != keys[1].model["digest"]
    assert keys[0].digest != keys[1].digest
    again = load_vlm(folders["qwen2_5_vl"], device="cpu")
    assert prepare(reversal.STUDY, again, data, config).key.digest == keys[0].digest
    closure = CODE.closure([type(model).__module__])
    assert {
        "litelvlm.models.vlm.queries.query",
        "litelvlm.models.vlm.network",
        "litelvlm.models.attribution",
    } <= closure


def test_an_object_is_known_by_its_weights(sample):
    network, processor = tiny_qwen(), qwen_processor()
    model = load_vlm(network, processor)
    assert model.view(168, 168).n_tokens == len(
        model.projected_image(sample.image().resize((168, 168)))
    )
    with torch.no_grad():
        network.lm_head.weight[-1, -1] += 1
    assert load_vlm(network, processor).digest != model.digest


def test_a_model_of_another_family_answers_and_is_not_asked_by_studies(data, tmp_path):
    model = load_vlm(tiny_vlm("internvl"), qwen_processor())
    model.check(get_pruner("divprune"), 8)
    with pytest.raises(ValueError, match=r"study reversal needs .* vlm:InternVL.* is not one"):
        run_study("reversal", model, data, tmp_path)


def test_what_does_not_fit_is_refused_by_name(folders, models, sample, tmp_path):
    network = tiny_vlm("llava")
    with pytest.raises(ValueError, match="give its processor="):
        load_vlm(network)
    with pytest.raises(FileNotFoundError, match='or "none" to leave the text tower out'):
        load_vlm(network, qwen_processor())
    with pytest.raises(ValueError, match="is not the CLIP that this model's image tower"):
        load_vlm(folders["llava"], clip=EMBEDDED["embedded-shapes"] / "clip", device="cpu")
    with pytest.raises(ValueError, match="whose CLIP is read by `prune` alone"):
        load_vlm(folders["qwen2_5_vl"], clip=CLIP)
    with pytest.raises(ValueError, match="vlm:embedded"):
        load_vlm(tmp_path / "nothing")
    blind = qwen_processor()
    blind.chat_template = "a template that names no image"
    mute = load_vlm(tiny_qwen(), blind)
    with pytest.raises(ValueError, match=r"0 image placeholders .* instead of one"):
        mute.query(sample.image(), "the red circle").targets()
    with pytest.raises(ValueError, match=f"templates 0 to {len(QUESTIONS) - 1}"):
        models["llava"].query(sample.image(), "it", question_index=len(QUESTIONS))


def test_every_study_is_asked_by_the_models_that_its_seam_names(models):
    able = {name: set(studies_for(model)) for name, model in models.items()}
    masks = {"sweep", "ablations", "video", "quantisation", "finetuning"}
    towers = {"mechanism", "sink", "sink_causal"}
    assert able["llava"] == {*STUDIES, BENCH} - masks
    assert able["qwen2_5_vl"] == {*STUDIES, BENCH} - masks - towers
    assert get_study("sweep").reads is GroundingModel
    assert get_study("sink").reads is TowerModel
