"""Fine-tuning: true gradients, resuming that is not restarting, an equal merged model."""

import json
import shutil
import sys
from copy import deepcopy
from dataclasses import replace
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from litelvlm import get_pruner, load_clips, load_model, load_refer
from litelvlm.analysis.cli import main
from litelvlm.analysis.inputs.image_cache import with_image_cache
from litelvlm.data.video.stills import Stills
from litelvlm.models.files import EMBEDDED
from litelvlm.models.glamm.options import GlammOptions
from litelvlm.models.glamm.prompting.prompts import full_prompt
from litelvlm.pruning.outside.plugins import method_at
from litelvlm.training.finetune import adapters, memory, train
from litelvlm.training.finetune.adapters import add_adapters
from litelvlm.training.finetune.examples import Examples
from litelvlm.training.finetune.learner import Learner
from litelvlm.training.finetune.recipe import FineTuneRecipe
from litelvlm.training.finetune.train import CHECKPOINT, fine_tune
from tests.unit import clip_tree

SHORT = {"pruner": "litelvlm", "budget": (16,), "steps": 5, "batch": 1, "accumulation": 2}
SHORT |= {"warmup": 2, "expressions": 2}
SOURCE = EMBEDDED["embedded"]
OWN = """
from dataclasses import dataclass
from litelvlm.pruning.methods.uniform import Uniform

@dataclass(frozen=True, kw_only=True)
class Mine(Uniform):
    pass
"""


@pytest.fixture(scope="module")
def data():
    return load_refer("embedded", split="train")


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """Images are encoded once for all tests."""
    return tmp_path_factory.mktemp("encoded")


@pytest.fixture(scope="module")
def tuned(data, encoded, tmp_path_factory):
    """An undisturbed fine-tuning, and what its model answered before the factors were merged."""
    model, answers = with_image_cache(fresh(), encoded), []

    def watched(*given):
        merge = add_adapters(*given)

        def run():
            answers.append(logits(model))
            merge()

        return run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "add_adapters", watched)
        out = tmp_path_factory.mktemp("tuned") / "out"
        folder = fine_tune(model, data, recipe(), out, save_every=2)
    return folder, answers[0]


def fresh():
    return load_model("embedded", device="cpu")


def recipe(**changes) -> FineTuneRecipe:
    return FineTuneRecipe(**(SHORT | changes))


def total(losses) -> torch.Tensor:
    return torch.stack([v.double() for n, v in losses.items() if not n.startswith("_")]).sum()


@torch.inference_mode()
def logits(model) -> torch.Tensor:
    """Mask logits of one expression under the trained method."""
    model.llama.eval()
    sample = load_refer("embedded", split="val")[0]
    said = [sample.expressions[0].sent]
    return model.segment(sample.image(), said, get_pruner("litelvlm"), 16).logits


@pytest.mark.parametrize("pruner", ["litelvlm", "avgpool", "fastv", "none"])
def test_gradients_are_those_of_finite_differences(data, pruner):
    """Of every trained part, under tokens that are chosen, merged, dropped inside or all kept."""
    model = fresh().double()
    chosen = recipe(pruner=pruner, budget=() if pruner == "none" else (48,), lora_dropout=0.0)
    add_adapters(model, chosen)
    learner = Learner(model, Examples.of(data, 2), chosen)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at the beginning, where lora_A has no gradient
            parameter.data.normal_(std=0.05, generator=torch.Generator().manual_seed(1))
    total(learner(0)).backward()
    for part in ("lora_A", "lora_B", "lm_head", "embed_tokens", "mask_decoder", "seg_head"):
        name, parameter = max(
            ((n, p) for n, p in model.named_parameters() if part in n and p.grad is not None),
            key=lambda entry: float(entry[1].grad.abs().max()),
        )
        place = int(parameter.grad.abs().argmax())
        # Norms and masks are computed in float32, so a smaller step would be all rounding.
        slope, step = float(parameter.grad.flatten()[place]), 1e-3
        ends = []
        for sign in (1, -1):
            parameter.data.flatten()[place] += sign * step
            with torch.no_grad():
                ends.append(float(total(learner(0))))
            parameter.data.flatten()[place] -= sign * step
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=5e-3), name


@torch.no_grad()
def test_words_loss_is_the_librarys_own(data):
    """The cross-entropy of the answers equals LLaMA's loss with labels, tokens pruned or not."""
    model = fresh()
    chosen = recipe(expressions=3)
    learner = Learner(model, Examples.of(data, 3), chosen)
    batch = [learner.examples.draw(i, model, np.random.default_rng(i)) for i in (0, 1)]
    states = [learner.encoded(example) for example in batch]
    for method in (learner.methods[0], None):
        kept = [learner.select(method, s, e, 0) for s, e in zip(states, batch, strict=True)]
        ours = learner.losses(states, batch, kept)["words"]
        sums, count = 0.0, 0
        for state, example, selection in zip(states, batch, kept, strict=True):
            visual = model.visual_tokens(state, selection)
            spliced = model.splice([visual], [example.conversation], [selection])
            ids = model.tokenizer.encode(full_prompt(example.conversation))
            text = full_prompt(example.conversation)
            learned, at = torch.zeros(len(ids), dtype=torch.bool), 0
            for answer in example.conversation.answers:  # from the tokens' own texts
                at = text.index(f"ASSISTANT: {answer}</s>", at) + len("ASSISTANT:")
                first = len(model.tokenizer.encode(text[:at]))
                last = len(model.tokenizer.encode(text[: at + len(f" {answer}</s>")]))
                learned[first:last] = True
            start = spliced.image_start[0]
            labels = torch.where(learned, torch.tensor(ids), -100)
            blank = torch.full((len(visual),), -100)
            labels = torch.cat([labels[:start], blank, labels[start + 1 :]])
            out = model.llama(
                inputs_embeds=spliced.embeds, position_ids=spliced.position_ids
            ).logits[0]
            sums += float(F.cross_entropy(out[:-1], labels[1:], reduction="sum"))
            count += int((labels[1:] != -100).sum())
        assert float(ours) == pytest.approx(sums / count, rel=1e-4)


def test_merged_folder_equals_the_model_with_adapters(tuned):
    folder, answered = tuned
    loaded = load_model(folder, dtype="float32", device="cpu")
    torch.testing.assert_close(logits(loaded), answered, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(answered, logits(fresh()), atol=1e-2)


def test_a_model_trained_in_place_is_called_what_it_became(data, encoded, tuned, tmp_path):
    base = fresh()
    model, start = with_image_cache(base, encoded), base.digest
    assert fine_tune(model, data, recipe(), tuned[0].parent) == tuned[0]  # finished long ago
    assert (model.name, model.digest) == ("embedded", start)
    folder = fine_tune(model, data, recipe(steps=1, warmup=0), tmp_path / "out")
    loaded = load_model(folder, device="cpu")
    assert (model.name, model.digest) == (loaded.name, loaded.digest)
    assert base.digest == base.with_options(read="seg").digest == loaded.digest != start
    weights = loaded.state_dict()
    assert all(torch.equal(one, weights[name]) for name, one in model.state_dict().items())
    further = fine_tune(model, data, recipe(steps=1, warmup=0), tmp_path / "further")
    assert json.loads((further.parent / train.RECORD).read_text())["model"] == loaded.digest


def test_a_clip_from_elsewhere_belongs_to_the_merged_model(data, tmp_path):
    clip = shutil.copytree(SOURCE / "clip", tmp_path / "clip")
    model = load_model("embedded", device="cpu", clip=clip)
    folder = fine_tune(model, data, recipe(steps=1, warmup=0), tmp_path / "out")
    assert model.digest == load_model(folder, device="cpu", clip=clip).digest
    assert model.digest != load_model(folder, device="cpu").digest


def test_only_what_is_trained_changes(tuned):
    folder, _ = tuned
    before, after = (load_file(place / "model.safetensors") for place in (SOURCE, folder))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name].float(), after[name])}
    trained = ("q_proj", "v_proj", "lm_head", "embed_tokens", "mask_decoder", "text_hidden_fcs")
    assert all(any(part in name for part in trained) for name in changed)
    assert all(any(part in name for name in changed) for part in trained)
    assert not any("grounding_encoder.image_encoder" in n or "mm_projector" in n for n in changed)


def test_steps_are_counted(tuned):
    folder, _ = tuned
    last = json.loads((folder.parent / "finetune.jsonl").read_text().splitlines()[-1])
    assert last["step"] == SHORT["steps"]
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        *("checkpoint", "finetune.json", "finetune.jsonl")
    ]


def test_killed_twice_ends_with_the_weights_of_an_undisturbed_run(data, encoded, tuned, tmp_path):
    out, forward = tmp_path / "out", Learner.forward
    seen = []
    for fatal in (5, 8, None):  # within the third step, at the fifth, never

        def until(self, part, fatal=fatal):
            seen.append(part)
            if part == fatal:
                raise KeyboardInterrupt
            return forward(self, part)

        model = with_image_cache(fresh(), encoded)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Learner, "forward", until)
            if fatal is None:
                fine_tune(model, data, recipe(), out, save_every=2)
            else:
                with pytest.raises(KeyboardInterrupt):
                    fine_tune(model, data, recipe(), out, save_every=2)
                assert not (out / CHECKPOINT).exists()
                assert model.digest.startswith("unfinished-")
                with pytest.raises(ValueError, match=r"not finished\): its weights are those"):
                    fine_tune(model, data, recipe(), out)
    assert seen == [*range(6), *range(4, 9), *range(8, 10)]
    whole, broken = (load_file(p / "model.safetensors") for p in (tuned[0], out / CHECKPOINT))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_layers_computed_again_give_the_same_gradients(data):
    found = []
    for again in (False, True):
        model = fresh()
        add_adapters(model, recipe())
        if again:
            train.recompute_layers(model.llama)
        total(Learner(model, Examples.of(data, 2), recipe())(3)).backward()
        found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], msg=name)


def test_a_part_follows_from_its_number_and_draws_its_budget(data, monkeypatch):
    model = fresh()
    learner = Learner(model, Examples.of(data, 1), recipe(budget=(8, 16), expressions=1))
    kept = []
    monkeypatch.setattr(
        learner, "losses", lambda states, batch, chosen: kept.append((batch, chosen)) or {}
    )
    for part in (*range(12), 3):
        learner(part)
    assert {len(chosen[0]) for _, chosen in kept} == {8, 16}
    (first, one), (second, two) = kept[3], kept[12]
    assert first[0].conversation == second[0].conversation
    assert torch.equal(one[0].indices, two[0].indices)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--budget", "192"], r"budget 192 is not a whole number of tokens from 1 to 144"),
        (["--pruner", "litelvm", "--budget", "48"], "did you mean 'litelvlm'"),
        ([], "needs a budget"),
        (["--pruner", "none", "--budget", "48"], "pruner 'none', which keeps every token"),
        (["--budget", "48", "--lora-rank", "0"], "lora_rank: Input should be greater than"),
        (["--budget", "48", "--lr", "nan"], "lr: "),
        (["--budget", "48", "--steps", "3"], "warmup 100 is more than the 3 steps"),
        (["--budget", "48", "--lora-targets", "q_prj"], "q_proj"),
        (["--budget", "48", "--dtype", "float16"], "float16 loses small gradients"),
        (["--budget", "48", "--random-init"], "nothing to fine-tune"),
        (["--budget", "48", "--batch", "201"], "batch 201 is more than the 200 images"),
        (["--budget", "48", "--save-every", "0"], "--save-every 0 is below 1"),
        (["--budget", "48", "--model", "vlm:embedded"], "needs a GLaMM"),
    ],
)
def test_refusals_name_the_value_and_begin_nothing(options, told, tmp_path, capsys):
    assert main(["finetune", "--out", str(tmp_path / "out"), "--device", "cpu", *options]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_bfloat16_trains_in_float32_and_is_merged_in_bfloat16(data, tmp_path):
    model = load_model("embedded", dtype="bfloat16", device="cpu")
    # This method reads the language model, adapters included, before its gradient is computed.
    chosen = recipe(pruner="llm_attention", steps=1, warmup=0, lr=1e-2)
    with pytest.MonkeyPatch.context() as patch:
        merge, seen = train.add_adapters, {}
        patch.setattr(train, "add_adapters", lambda *given: watched(merge(*given)))

        def watched(run):
            kinds = {n: p.dtype for n, p in model.named_parameters() if p.requires_grad}
            seen.update(kinds)
            return run

        folder = fine_tune(model, data, chosen, tmp_path / "out")
    assert set(seen.values()) == {torch.float32}
    before, after = (load_file(place / "model.safetensors") for place in (SOURCE, folder))
    assert {value.dtype for value in after.values()} == {torch.bfloat16}
    places = [
        n for n in before if n.endswith(("self_attn.q_proj.weight", "self_attn.v_proj.weight"))
    ]
    places = ["lm_head.weight", *(name for name in places if name.startswith("model.layers"))]
    assert len(places) == 1 + 2 * 4
    for name in places:
        assert not torch.equal(before[name].bfloat16(), after[name]), name


@pytest.mark.parametrize("method", ["divprune", "llm_attention"])
def test_states_and_choices_in_training_are_those_of_the_evaluation(
    method, data, tmp_path, monkeypatch
):
    """In bfloat16 with a SAM in float32: whoever reads the cache next gets equal states."""
    options = GlammOptions(sam_dtype="float32")
    model = load_model("embedded", dtype="bfloat16", device="cpu", options=options)
    plain = deepcopy(model)
    cached = with_image_cache(model, tmp_path)
    chosen = recipe(pruner=method)
    learner = Learner(cached, Examples.of(data, 2), chosen)
    add_adapters(cached, chosen)
    seen = []
    monkeypatch.setattr(learner, "losses", lambda *given: seen.append(given) or {})
    learner(0)
    (((state,), (example,), (selection,)),) = seen
    expected = plain.encode_image(example.image)
    for name, value in expected.tensors().items():
        assert state.tensors()[name].dtype == value.dtype, name
        assert torch.equal(state.tensors()[name], value), name
    assert cached.image_cache.n_made == 1
    if method == "divprune":  # the language model itself reads with parts in float32
        kept = get_pruner(method).select(plain.cues(expected, example.conversation), 16)
        assert torch.equal(selection.indices, kept.indices)


def test_a_loss_that_is_not_finite_ends_the_training(data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        Learner,
        "forward",
        lambda self, part: {"words": torch.tensor(float("nan")).requires_grad_()},
    )
    with pytest.raises(RuntimeError, match=r"the loss 'words' is nan in step 1; lower"):
        fine_tune(fresh(), data, recipe(), tmp_path / "out")
    assert not (tmp_path / "out" / CHECKPOINT).exists()


class Few:
    """A split of one image, changed."""

    name, split, split_by, digest, categories = "mine", "train", "", "", MappingProxyType({})

    def __init__(self, sample):
        self.sample = sample

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.sample


def test_data_without_masks_and_clips_are_refused(data, caplog):
    sample = data[0]
    bare = {i: replace(a, outline="[]") for i, a in sample.annotations.items()}
    with pytest.raises(ValueError, match="mine train has no masks to learn from"):
        Examples.of(Few(replace(sample, annotations=bare)), 3)
    with pytest.raises(ValueError, match="holds clips"):
        Examples.of(Few(SimpleNamespace(frames=2)), 3)
    odd = replace(sample.expressions[0], sent="the <image>")
    kept = Examples.of(Few(replace(sample, expressions=(odd, *sample.expressions[1:3]))), 3)
    assert kept.usable == ((0, (1, 2)),)
    assert "1 expressions are left out" in caplog.text
    point = {i: replace(a, outline="[[5, 5, 5, 5, 5, 5]]") for i, a in sample.annotations.items()}
    with pytest.raises(ValueError, match="mine train has no masks to learn from"):
        Examples.of(Few(replace(sample, annotations=point)), 3)


def test_stills_of_clips_teach_what_their_frame_shows(tmp_path):
    clips = load_clips(clip_tree.davis(tmp_path / "davis"), "ref-davis17")
    found = Examples.of(Stills(clips, 3), 2)
    # Object 2 of the second clip is gone in its last frame.
    assert [len(places) for _, places in found.usable] == [4, 4, 4, 8, 8, 4]
    example = found.draw(5, fresh(), np.random.default_rng(0))
    assert example.target.flatten(1).any(1).all()


def test_another_training_in_the_folder_is_refused(data, tuned, tmp_path):
    out = tuned[0].parent
    with pytest.raises(ValueError, match="training with another recipe"):
        fine_tune(fresh(), data, recipe(seed=1), out)
    eager = load_model("embedded", device="cpu", attn="eager")
    with pytest.raises(ValueError, match=r"finetune\.json differs in attention\)"):
        fine_tune(eager, data, recipe(), out)
    assert fine_tune(fresh(), data, recipe(), out) == tuned[0]  # finished, left as it is
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files and no fine-tuning"):
        fine_tune(fresh(), data, recipe(), tmp_path)


def test_a_method_whose_code_changed_is_another_training(data, tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    model = SimpleNamespace(
        digest="weights",
        dtype=torch.float32,
        options="",
        attention_kernels={"llama": "sdpa"},
        device=torch.device("cpu"),
    )
    mine = method_at(f"{file}:Mine")
    ours, theirs = (
        SimpleNamespace(model=model, methods=[(pruner, 16)])
        for pruner in (get_pruner("uniform"), mine())
    )
    train.claim(tmp_path / "ours", ours, data, recipe(), 1)
    assert "code of the method" not in json.loads((tmp_path / "ours" / train.RECORD).read_text())
    elsewhere = SimpleNamespace(**{**vars(model), "device": torch.device("cuda")})
    there = SimpleNamespace(model=elsewhere, methods=ours.methods)
    with pytest.raises(ValueError, match=r"differs in device\)"):
        train.claim(tmp_path / "ours", there, data, recipe(), 1)
    for _ in range(2):
        train.claim(tmp_path / "theirs", theirs, data, recipe(), 1)
    file.write_text(OWN.replace("pass", "other = 1"))
    with pytest.raises(ValueError, match=r"mine\.py changed after Mine was loaded"):
        train.claim(tmp_path / "theirs", theirs, data, recipe(), 1)
    monkeypatch.delitem(sys.modules, mine.__module__)
    theirs.methods = [(method_at(f"{file}:Mine")(), 16)]
    with pytest.raises(ValueError, match="training with another recipe"):
        train.claim(tmp_path / "theirs", theirs, data, recipe(), 1)


def test_missing_packages_and_memory_are_refused_first(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(adapters, "find_spec", lambda name: None)
        with pytest.raises(ValueError, match=r"peft and accelerate.*litelvlm\[train\]"):
            fine_tune(fresh(), data, recipe(), tmp_path / "a")
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10**6)
    with pytest.raises(ValueError, match=r"needs about .* GB.*0\.00 GB are free on cpu; lower"):
        fine_tune(fresh(), data, recipe(), tmp_path / "b")


def test_the_verb_writes_a_model_that_other_verbs_take(tmp_path, capsys, encoded):
    words = ["finetune", "--pruner", "uniform", "--budget", "48", "16", "--steps", "2", "--batch"]
    words += ["1", "--accumulation", "1", "--warmup", "1", "--expressions", "1", "--device", "cpu"]
    words += ["--cache", str(encoded), "--out", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    folder = json.loads(capsys.readouterr().out)["model"]
    assert folder == str(tmp_path / "out" / CHECKPOINT)
    given = ["evaluate", "--model", folder, "--limit", "1", "--methods", "uniform"]
    assert main([*given, "--budgets", "16", "--device", "cpu", "--out", str(tmp_path / "r")]) == 0
