"""Every call that transformers allows on a pruned model: exact, or refused by name.

The reference of generating is a loop that gives the whole conversation to a pruned ``forward`` for
each token, without any cache.
"""

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, StoppingCriteria
from transformers.generation import BaseStreamer, MaxLengthCriteria

from litelvlm import get_pruner, prune
from litelvlm.models.vlm.arguments import OWN_PASSES
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm

METHODS = {
    "kept": ("divprune", 9),
    "original positions": (get_pruner("divprune", positions="original"), 9),
    "merged": ("avgpool", 9),
    "between layers": ("fastv", 20),
}
NEW = 4


def row(inputs, number):
    """A row of a batch alone, without its padding."""
    real = inputs["attention_mask"][number].bool()
    return {
        name: value[number : number + 1][:, real] if value.ndim == 2 else value[number : number + 1]
        for name, value in inputs.items()
    }


def generated(model, inputs, method="divprune", budget=9, **given):
    """New tokens of a pruned call; greedy, four of them, if nothing else is asked."""
    if not {"max_length", "max_new_tokens", "generation_config"} & set(given):
        given["max_new_tokens"] = NEW
    with prune(model, method, budget):
        out = model.generate(**inputs, **{"do_sample": False, **given})
    copies = given.get("num_return_sequences", 1)
    prompts = inputs["input_ids"].repeat_interleave(copies, dim=0)
    assert torch.equal(out[:, : prompts.shape[1]], prompts)
    return out[:, inputs["input_ids"].shape[1] :].tolist()


@torch.no_grad()
def step_by_step(model, inputs, method="divprune", budget=9, steps=NEW):
    """New tokens of one prompt, each from the whole conversation."""
    given, found = dict(inputs), []
    for _ in range(steps):
        logits = prune(model, method, budget).forward(**given).logits[:, -1]
        new = logits.argmax(dim=-1, keepdim=True)
        found.append(int(new))
        given["input_ids"] = torch.cat([given["input_ids"], new], dim=1)
        given["attention_mask"] = torch.ones_like(given["input_ids"])
    return [found]


@pytest.mark.parametrize(("method", "budget"), METHODS.values(), ids=METHODS)
def test_a_row_of_a_batch_is_the_row_alone_and_the_loop(llava, batch, method, budget):
    together = generated(llava, batch, method, budget)
    for number in range(2):
        alone = row(batch, number)
        assert generated(llava, alone, method, budget) == [together[number]]
        if method != "fastv":  # it ranks by the last token of what it is given
            assert step_by_step(llava, alone, method, budget) == [together[number]]


SAME = {
    "a configuration": {"generation_config": GenerationConfig(max_new_tokens=NEW, pad_token_id=0)},
    "one beam": {"num_beams": 1},
    "no penalty": {"repetition_penalty": 1.0, "guidance_scale": 1.0},
    "minimum": {"min_new_tokens": NEW},
}
KEPT_ONLY = {
    "static cache": {"cache_implementation": "static"},
    "no cache": {"use_cache": False},
    "pieces": {"prefill_chunk_size": 4},
    "one piece": {"prefill_chunk_size": 100},
}


@pytest.mark.parametrize("given", [*SAME.values(), *KEPT_ONLY.values()], ids=[*SAME, *KEPT_ONLY])
def test_ways_that_change_no_answer(llava, batch, given):
    assert generated(llava, batch, **given) == generated(llava, batch)


@pytest.mark.parametrize("given", SAME.values(), ids=SAME)
def test_ways_that_change_no_answer_between_layers(llava, batch, given):
    assert generated(llava, batch, "fastv", 20, **given) == generated(llava, batch, "fastv", 20)


@pytest.mark.parametrize("method", ["divprune", get_pruner("divprune", positions="original")])
def test_assistants_and_lookup_change_no_answer(llava, one, method):
    expected = generated(llava, one, method)
    assert generated(llava, one, method, assistant_model=tiny_vlm("llava")) == expected
    assert generated(llava, one, method, prompt_lookup_num_tokens=3) == expected


@pytest.mark.parametrize("limits", ["argument", "configuration", "the model's own"])
def test_limits_of_the_whole_length_count_the_full_prompt(llava, batch, limits, monkeypatch):
    length = batch["input_ids"].shape[1] + 3
    expected = [answer[:3] for answer in generated(llava, batch)]
    config = GenerationConfig(max_length=length, do_sample=False, pad_token_id=0)
    if limits == "argument":
        found = generated(llava, batch, max_length=length)
    elif limits == "configuration":
        found = generated(llava, batch, generation_config=config)
        assert config.max_length == length
    else:
        monkeypatch.setattr(llava.generation_config, "max_length", length)
        assert generated(llava, batch, max_new_tokens=NEW) == generated(llava, batch)
        with prune(llava, "divprune", 9):
            out = llava.generate(**batch, do_sample=False)
        found = out[:, length - 3 :].tolist()
    assert found == expected


def test_a_minimum_of_the_whole_length_counts_the_full_prompt(llava, one):
    first = generated(llava, one)[0]
    # The first token ends the answer, unless it would be too short.
    end = {"eos_token_id": first[0]}
    length = one["input_ids"].shape[1]
    assert len(generated(llava, one, **end)[0]) == 1
    config = GenerationConfig(min_length=length + 3, max_new_tokens=NEW, pad_token_id=0, **end)
    assert len(generated(llava, one, min_length=length + 3, **end)[0]) >= 3
    assert len(generated(llava, one, generation_config=config)[0]) >= 3


@pytest.mark.parametrize(("method", "budget"), METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("given", [{"num_beams": 3}, {"num_beams": 2, "num_return_sequences": 2}])
def test_beams_of_a_batch_are_those_of_its_rows(llava, batch, method, budget, given):
    alone = [generated(llava, row(batch, n), method, budget, **given) for n in range(2)]
    assert generated(llava, batch, method, budget, **given) == [*alone[0], *alone[1]]


@pytest.mark.parametrize("penalty", ["repetition_penalty", "encoder_repetition_penalty"])
def test_penalties_of_all_kept_tokens_are_the_models_own(llava, batch, penalty):
    given = {penalty: 1.5, "max_new_tokens": 6, "do_sample": False}
    whole = llava.generate(**batch, **given)[:, batch["input_ids"].shape[1] :].tolist()
    assert generated(llava, batch, budget=36, **given) == whole


class Seen(LogitsProcessor, StoppingCriteria):
    """Keeps the sequences that it is shown and changes nothing."""

    def __init__(self, answer):
        self.answer, self.seen = answer, []

    def __call__(self, input_ids, scores):
        self.seen.append(input_ids.clone())
        return scores if self.answer is None else self.answer(input_ids)


def test_processors_criteria_and_streamers_see_full_prompts(llava, batch, one):
    length = batch["input_ids"].shape[1]
    expected, seen = generated(llava, batch), Seen(None)
    assert generated(llava, batch, logits_processor=[seen]) == expected
    assert [ids.shape[1] for ids in seen.seen] == [length, length + 1, length + 2, length + 3]
    assert all(torch.equal(ids[:, :length], batch["input_ids"]) for ids in seen.seen)
    stop = MaxLengthCriteria(max_length=length + 2)
    assert generated(llava, batch, stopping_criteria=[stop]) == [a[:2] for a in expected]

    rows = []

    def allowed(number, ids):
        rows.append((number, len(ids)))
        return list(range(5, 10))

    found = generated(llava, batch, prefix_allowed_tokens_fn=allowed)
    assert all(5 <= token < 10 for answer in found for token in answer)
    assert rows[:4] == [(0, length), (1, length), (0, length + 1), (1, length + 1)]

    class Stream(BaseStreamer):
        def __init__(self):
            self.values, self.ended = [], False

        def put(self, value):
            self.values.append(value.flatten().tolist())

        def end(self):
            self.ended = True

    stream = Stream()
    answer = generated(llava, one, streamer=stream)[0]
    assert stream.values == [one["input_ids"][0].tolist(), *([token] for token in answer)]
    assert stream.ended


REFUSED = {
    "guidance_scale": (0.0, "a second prompt"),
    "negative_prompt_attention_mask": (torch.ones(1, 2, dtype=torch.long), "a second prompt"),
    "use_mtp": (True, "several tokens"),
    "constraints": ([object()], "a loop of its own"),
    "force_words_ids": ([[3]], "a loop of its own"),
    "num_beam_groups": (2, "a loop of its own"),
    "assistant_early_exit": (1, "its own first layers"),
    "continuous_batching_config": (object(), "batches of its own"),
    "is_assistant": (True, "an earlier call"),
    "speculation_type": ("dflash", "a model of their own"),
    "mm_encoder_outputs": ({}, "encodes them itself"),
    "negative_prompt_ids": (torch.ones(1, 2, dtype=torch.long), "a second prompt"),
    "token_healing": (True, "changes itself"),
    "custom_generate": (lambda *given: None, "a loop of its own"),
    "dola_layers": ("low", "a loop of its own"),
    "penalty_alpha": (0.6, "a loop of its own"),
    "inputs_embeds": (torch.ones(1, 3, 32), "give input_ids"),
    "position_ids": (torch.ones(1, 3), "positions= of prune"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exact_is_refused_by_name(llava, one, name):
    value, why = REFUSED[name]
    with pytest.raises(ValueError, match=f"{name}.*{why}"):
        generated(llava, one, **{name: value})


def test_a_configuration_hides_no_refused_mode(llava, one):
    config = GenerationConfig(max_new_tokens=2, guidance_scale=2.0)
    with pytest.raises(ValueError, match="guidance_scale"):
        generated(llava, one, generation_config=config)


@pytest.mark.parametrize(
    "given", [{"prefill_chunk_size": 4}, {"prompt_lookup_num_tokens": 2}, {"assistant_model": 0}]
)
def test_passes_of_several_steps_are_refused_between_layers(llava, one, given):
    given = {name: value or tiny_vlm("llava") for name, value in given.items()}
    with pytest.raises(ValueError, match=f"{next(iter(given))}.* fastv .*'divprune'"):
        generated(llava, one, "fastv", 20, **given)


def test_a_batch_padded_on_the_right_is_refused_and_read_by_forward(llava, batch):
    ids, mask = batch["input_ids"], batch["attention_mask"]
    n = int(mask[0].sum())
    turned = {**batch, "input_ids": ids.clone(), "attention_mask": mask.clone()}
    for name in ("input_ids", "attention_mask"):
        turned[name][0] = torch.cat([batch[name][0, -n:], batch[name][0, :-n]])
    with pytest.raises(ValueError, match="padding_side = 'left'"):
        generated(llava, turned)
    with torch.no_grad():
        right = prune(llava, "divprune", 9).forward(**turned).logits[0]
        left = prune(llava, "divprune", 9).forward(**row(batch, 0)).logits[0]
    assert (right[: len(left)] - left).abs().max() <= 1e-6


def test_caches_of_earlier_calls(llava, one):
    pruned = prune(llava, get_pruner("divprune", positions="original"), 9)
    expected = step_by_step(llava, one, get_pruner("divprune", positions="original"))[0]
    with torch.no_grad():
        out = pruned.forward(**one, use_cache=True)
        found = [out.logits[:, -1].argmax(dim=-1, keepdim=True)]
        length = one["input_ids"].shape[1]
        for step in range(NEW - 1):
            # A mask of the full length, of any other, or none mean the same.
            mask = torch.ones(1, length + 1 + step, dtype=torch.long) if step % 2 else None
            out = pruned.forward(
                found[-1], past_key_values=out.past_key_values, attention_mask=mask
            )
            found.append(out.logits[:, -1].argmax(dim=-1, keepdim=True))
    assert torch.cat(found, dim=1)[0].tolist() == expected

    cache = out.past_key_values
    with pytest.raises(ValueError, match=r"already holds .* give the whole conversation"):
        pruned.forward(**one, past_key_values=cache)
    for inputs in (one, {"input_ids": one["input_ids"]}):
        with pytest.raises(ValueError, match=r"already holds .* give the whole conversation"):
            pruned.generate(**inputs, past_key_values=cache, max_new_tokens=2)
    with pytest.raises(ValueError, match="leave position_ids out"):
        pruned.forward(found[-1], past_key_values=cache, position_ids=torch.tensor([[3]]))
    empty = DynamicCache(config=llava.config.get_text_config())
    with_cache = generated(llava, one, past_key_values=empty)
    assert with_cache == generated(llava, one)
    told = pruned.generate(**one, max_new_tokens=2, return_dict_in_generate=True)
    with pytest.raises(ValueError, match=r"already holds"):
        pruned.generate(**one, past_key_values=told.past_key_values)


def test_layers_of_different_tokens_are_not_gone_on_from(llava, one):
    pruned = prune(llava, "fastv", 20)
    with torch.no_grad():
        out = pruned.forward(**one, use_cache=True)
    with pytest.raises(ValueError, match="other tokens in each layer"):
        pruned.forward(one["input_ids"][:, -1:], past_key_values=out.past_key_values)


def test_placeholders_that_a_mask_hides(llava, one):
    mask = torch.ones_like(one["input_ids"])
    place = (one["input_ids"] == llava.config.image_token_id).nonzero()[0, 1]
    mask[0, place] = 0
    with pytest.raises(ValueError, match="hides placeholders of image 0"):
        generated(llava, {**one, "attention_mask": mask})


def test_rows_and_columns_need_the_types_of_tokens():
    model, inputs = tiny_vlm("qwen2_5_vl"), tiny_prompt("qwen2_5_vl")
    del inputs["mm_token_type_ids"]
    with pytest.raises(ValueError, match=r"mm_token_type_ids.* everything that the processor"):
        generated(model, inputs)


def test_every_mode_that_is_refused_is_tried():
    assert set(OWN_PASSES) <= set(REFUSED)


def test_what_is_no_model_or_no_method_is_refused(llava):
    with pytest.raises(ValueError, match="Linear is not a model of transformers"):
        prune(torch.nn.Linear(2, 2), "divprune", 2)
    with pytest.raises(ValueError, match=r"model\._orig_mod"):
        prune(torch.compile(llava), "divprune", 2)
    with pytest.raises(ValueError, match=r"model\.module"):
        prune(torch.nn.DataParallel(llava), "divprune", 2)
    adapted = torch.nn.Module()
    adapted.get_base_model = lambda: llava  # as PEFT's models have it
    with pytest.raises(ValueError, match=r"model\.get_base_model\(\)"):
        prune(adapted, "divprune", 2)
    with pytest.raises(ValueError, match="pruner None is not a method"):
        prune(llava, None, 8)


def with_labels(model, inputs):
    """The prompt with its text as labels."""
    ids = inputs["input_ids"]
    hidden = (ids == model.config.image_token_id) | (inputs["attention_mask"] == 0)
    return {**inputs, "labels": ids.masked_fill(hidden, -100)}


def exact_loss(pruned, inputs):
    """The model's loss in float64; the library computes it in float32."""
    logits = pruned.forward(**inputs).logits
    labels = pruned.last.arguments["labels"]
    return float(cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()))


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_training_reaches_projector_and_tower(name, checkpointing):
    """Gradients of kept tokens are the slopes of the loss, where the choice stays the same."""
    model = tiny_vlm(name).double()
    inputs = with_labels(model, tiny_prompt(name, (1, 1), (4, 9)))
    inputs["pixel_values"] = inputs["pixel_values"].double()
    if checkpointing:
        model.train()
        enable = getattr(model, "activation_checkpointing_enable", None)
        (enable or model.gradient_checkpointing_enable)()
    with prune(model, "divprune", 4) as pruned:
        trained = model(**inputs)
    trained.loss.backward()
    parts = ("vision_tower", "projector", "lm_head") if name == "llava" else ("visual", "lm_head")
    for part in parts:
        weight = next(p for n, p in model.named_parameters() if part in n and p.ndim == 2)
        made = torch.Generator().manual_seed(0)
        direction = torch.randn(weight.shape, generator=made, dtype=torch.float64)
        slope, step, losses = float((weight.grad * direction).sum()), 1e-3, []
        with torch.no_grad():
            for sign in (1, -1):
                weight += sign * step * direction
                losses.append(exact_loss(pruned, inputs))
                weight -= sign * step * direction
        assert abs(slope) > 1e-6
        assert slope == pytest.approx(
            (losses[0] - losses[1]) / (2 * step), rel=1e-2
        )  # norms are float32


def test_training_between_layers_is_refused(llava, one):
    with pytest.raises(ValueError, match=r"labels with other tokens.*'divprune'"):
        prune(llava, "fastv", 20).forward(**with_labels(llava, one))
    with pytest.raises(ValueError, match="logits_to_keep names columns"):
        prune(llava, "divprune", 9).forward(**one, logits_to_keep=torch.tensor([3]))
