"""What goes on around a pruned call: callbacks, threads, copies, devices, a pipeline.

Each call gives what it gives alone, or what the full model gives, or is refused by name.
"""

import copy
from functools import partial
from threading import Event, Thread

import pytest
import torch
from transformers import (
    TextIteratorStreamer,
    pipeline,
)
from transformers.generation import EosTokenCriteria, MaxLengthCriteria

from litelvlm import get_pruner, prune
from litelvlm.models.vlm.miniature import CLIP
from litelvlm.models.vlm.stand_ins import BATCHING
from tests.tiny_vlms.answers import METHODS, ORIGINAL, answer
from tests.tiny_vlms.folder import byte_tokenizer, write_tiny
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm


@pytest.mark.filterwarnings("ignore:Using the model-agnostic default")
def test_a_stopping_rule_of_the_caller_ends_rows_as_the_librarys_does(llava, batch):
    plain = answer(llava, batch, max_new_tokens=6)
    end = plain[0][2]
    expected = answer(llava, batch, max_new_tokens=6, eos_token_id=end)
    assert expected[0][3:] == [0, 0, 0]
    rule = EosTokenCriteria(end)
    assert answer(llava, batch, max_new_tokens=6, stopping_criteria=[rule]) == expected
    # The caller's limit takes the place of the library's own, 20 new tokens.
    longest = MaxLengthCriteria(batch["input_ids"].shape[1] + 24)
    found = answer(llava, batch, max_new_tokens=None, stopping_criteria=[longest])
    assert [len(row) for row in found] == [24, 24]


def test_texts_that_stop_are_found_in_the_answer(llava, one):
    tokenizer, plain = byte_tokenizer(), answer(llava, one, max_new_tokens=6)[0]
    given = {"stop_strings": tokenizer.decode(plain[2:4]), "tokenizer": tokenizer}
    assert answer(llava, one, max_new_tokens=6, **given) == [plain[:4]]
    assert answer(llava, one, max_new_tokens=6, max_time=100.0) == [plain]


SETTINGS = {
    "ngrams": {"no_repeat_ngram_size": 3},
    "ngrams of the prompt": {"encoder_no_repeat_ngram_size": 3},
    "sequences": {"sequence_bias": [[[90, 90, 90, 5], 9.0], [[90, 90, 4], -9.0]]},
    "bad words": {"bad_words_ids": [[90, 90, 90, 4]]},
    "watermark": {
        "watermarking_config": {"seeding_scheme": "selfhash", "context_width": 4, "bias": 9.0}
    },
    "decay": {"exponential_decay_length_penalty": (1, 1.5), "eos_token_id": 90},
    "first": {"begin_suppress_tokens": [90]},
    "last": {"forced_eos_token_id": 5},
    "penalty": {"repetition_penalty": 3.0, "encoder_repetition_penalty": 2.0},
}


@pytest.mark.parametrize("given", SETTINGS.values(), ids=SETTINGS)
def test_processors_of_the_library_see_the_full_prompt(llava, given):
    """The prompt ends in its image, and the answer is made of placeholders and few words."""
    image = [90] * 36
    inputs = {
        "input_ids": torch.tensor([[0, 0, 1, 4, *image], [1, 3, 4, 5, *image]]),
        "attention_mask": torch.tensor([[0, 0] + [1] * 38, [1] * 40]),
        "pixel_values": tiny_prompt("llava", (2,))["pixel_values"],
    }
    seen = {}

    def few_words(name, ids, scores):
        seen.setdefault(name, []).append((ids.clone(), scores.clone()))
        scores = torch.zeros_like(scores)  # the answer no longer depends on the tokens kept
        scores[:, [4, 5, 90]] = torch.tensor([1.0, 1.1, 1.2])
        return scores

    given = {**given, "max_new_tokens": 5, "do_sample": False}
    first = partial(few_words, "full")
    length = inputs["input_ids"].shape[1]
    # The library's processors run in front of the caller's: compare what these are shown.
    whole = llava.generate(**inputs, **given, logits_processor=[first])[:, length:].tolist()
    with prune(llava, "divprune", 1):
        out = llava.generate(**inputs, **given, logits_processor=[partial(few_words, "short")])
    assert out[:, length:].tolist() == whole
    for (ids, scores), (full, expected) in zip(seen["short"], seen["full"], strict=True):
        assert torch.equal(ids, full)
        assert torch.equal(scores.isinf(), expected.isinf())


def test_a_release_that_builds_no_processors_is_refused(llava, one, monkeypatch):
    monkeypatch.setattr(type(llava), "generate", lambda self, **given: given["input_ids"])
    with pytest.raises(ValueError, match="did not call _get_logits_processor as in transformers"):
        prune(llava, "divprune", 9).generate(**one)


def test_streamers_of_threads_get_the_answer(llava, one):
    tokenizer = byte_tokenizer()
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
    expected = tokenizer.decode(answer(llava, one, max_new_tokens=6)[0])
    with prune(llava, ORIGINAL, 9):
        thread = Thread(
            target=llava.generate,
            kwargs={**one, "streamer": streamer, "max_new_tokens": 6, "do_sample": False},
        )
        thread.start()
        assert "".join(streamer) == expected
        thread.join()


class Held:
    """A processor that says that it was reached, and waits."""

    def __init__(self):
        self.reached, self.go = Event(), Event()

    def __call__(self, ids, scores):
        self.reached.set()
        self.go.wait(30)
        return scores


def held_call(call, inputs, **given):
    """Start a call in a thread; it is held at its first token."""
    held, found = Held(), []
    options = {"max_new_tokens": 4, "do_sample": False, **given, "logits_processor": [held]}
    thread = Thread(target=lambda: found.append(call(**inputs, **options)))
    thread.start()
    held.reached.wait(30)

    def finish():
        held.go.set()
        thread.join()
        return found[0][:, inputs["input_ids"].shape[1] :].tolist()

    return finish


@pytest.mark.parametrize(("method", "budget"), METHODS)
def test_a_second_call_while_one_runs_is_refused_or_left_alone(llava, one, method, budget):
    expected = answer(llava, one, method, budget)
    text, word = {"input_ids": torch.tensor([[1, 3, 4, 5]])}, torch.tensor([[7]])
    pruned = prune(llava, method, budget)
    with torch.no_grad():
        words = llava(**text).logits
        caches = [pruned.forward(**one, use_cache=True).past_key_values for _ in range(2)]
        before = None if method != ORIGINAL else pruned.forward(word, past_key_values=caches[0])
    finish = held_call(pruned.generate, one)
    for call in (llava, llava.generate, pruned.forward, pruned.generate):
        with pytest.raises(ValueError, match="running already, in another thread"):
            call(**one)
    with pytest.raises(ValueError, match="pruned already"):
        prune(llava, "random", 9).generate(**one)
    with torch.no_grad():  # hooks between the layers belong to the thread of their call
        assert torch.equal(llava(**text).logits, words)
        if before is not None:
            after = pruned.forward(word, past_key_values=caches[1])
            assert torch.equal(after.logits, before.logits)
    assert finish() == expected
    assert len(pruned.token_counts) == 1
    assert "forward" not in llava.__dict__


def test_a_processor_that_calls_the_model_with_images_is_refused(llava, one):
    def ask(ids, scores):
        return scores + llava(**one).logits[:, -1]

    with pytest.raises(ValueError, match="because a processor"):
        answer(llava, one, logits_processor=[ask])


def test_a_block_that_ends_while_a_thread_generates_changes_no_answer(llava, one):
    given = {"use_cache": False}  # every pass reads the prompt
    with prune(llava, ORIGINAL, 9):
        finish = held_call(llava.generate, one, **given)
    assert finish() == answer(llava, one, **given)
    assert "forward" not in llava.__dict__


def test_readers_of_attention_belong_to_their_thread(llava, one):
    """A plain pass in another thread, while a method watches the tower."""
    with torch.no_grad():
        expected = llava.get_image_features(one["pixel_values"]).pooler_output
    found, own = [], prune(llava, "received_attention", 9)
    tower = llava.base_model.vision_tower

    def beside(module, given):
        if not found:
            found.append(None)
            thread = Thread(target=features)
            thread.start()
            thread.join()

    @torch.no_grad()
    def features():
        found.append(llava.get_image_features(one["pixel_values"]).pooler_output)

    own.forward(**one)
    chosen = own.last.selections[0].indices.tolist()
    handle = tower.register_forward_pre_hook(beside)
    own.forward(**one)
    handle.remove()
    assert torch.equal(torch.cat(list(found[1])), torch.cat(list(expected)))
    assert own.last.selections[0].indices.tolist() == chosen


def test_a_pruned_model_is_saved_and_not_copied(llava, one, tmp_path):
    with prune(llava, "divprune", 9):
        llava.save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=r"leave prune.. before you copy or pickle"):
            copy.deepcopy(llava)
    again = type(llava).from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(again(**one).logits, llava(**one).logits)
        assert torch.equal(copy.deepcopy(llava)(**one).logits, llava(**one).logits)


def test_what_is_no_call_of_the_door_is_refused_inside(llava, one):
    with prune(llava, "divprune", 9):
        for name in BATCHING:
            with pytest.raises(ValueError, match="continuous batching reads text alone"):
                getattr(llava, name)(inputs=one["input_ids"].tolist())
        for given in (one, {"input_ids": one["input_ids"], "pixel_values": one["pixel_values"]}):
            with pytest.raises(ValueError, match="LlavaModel was given images and has no head"):
                llava.model(**given)
        with pytest.raises(ValueError, match="has no head"):
            llava.model(one["input_ids"], one["pixel_values"])
        llava.train()
        assert llava(**one).logits.shape[1] == 19
        llava.eval()
    with torch.no_grad():
        assert llava.model(**one).last_hidden_state.shape[1] == 46
    assert not llava.model._forward_pre_hooks


def test_paged_caches_are_refused(llava, one):
    with pytest.raises(ValueError, match=r"cache_implementation='paged'.* leave it out"):
        answer(llava, one, cache_implementation="paged")


# Offloaded weights, as accelerate has them: on the meta device but while a module runs.


def offload(model):
    """Put every weight on the meta device; a module gets its own while it runs."""
    for module in list(model.modules()):
        own = dict(module.named_parameters(recurse=False)) | dict(
            module.named_buffers(recurse=False)
        )
        if not own:
            continue
        forward = module.forward

        def run(*args, _module=module, _forward=forward, _own=own, **given):
            place(_module, _own)
            out = _forward(*args, **given)
            place(_module, {name: tensor.to("meta") for name, tensor in _own.items()})
            return out

        place(module, {name: tensor.to("meta") for name, tensor in own.items()})
        module.forward = run
        module._hf_hook = object()
    return model


def place(module, tensors):
    for name, tensor in tensors.items():
        held = module._parameters if name in module._parameters else module._buffers
        parameter = isinstance(held[name], torch.nn.Parameter)
        held[name] = torch.nn.Parameter(tensor, requires_grad=False) if parameter else tensor


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "internvl"])
def test_offloaded_weights_change_no_number(name):
    plain, model, inputs = tiny_vlm(name), offload(tiny_vlm(name)), tiny_prompt(name)
    assert all(weight.is_meta for weight in model.parameters())
    watched = ("divprune", "received_attention", "input_similarity", "fastv", "dart")
    for method in (*watched, get_pruner("llm_attention", query_token="last_prompt")):
        given = {"max_new_tokens": 2, "return_dict_in_generate": True, "output_logits": True}
        both = [prune(one, method, 0.5).generate(**inputs, **given) for one in (plain, model)]
        assert torch.equal(*(torch.cat(list(out["logits"])) for out in both))


def test_ends_of_lines_that_are_offloaded_are_refused():
    model = offload(tiny_vlm("llava_next"))
    with pytest.raises(ValueError, match=r"image_newline is offloaded.* device_map"):
        prune(model, "divprune", 0.5).forward(**tiny_prompt("llava_next"))


def test_layers_on_several_devices_are_refused_between_layers(llava, one, monkeypatch):
    several = {"model.vision_tower": 0, "model.language_model": 1, "lm_head": "cpu"}
    monkeypatch.setattr(llava, "hf_device_map", several, raising=False)
    with pytest.raises(ValueError, match=r"fastv.* several devices"):
        prune(llava, "fastv", 20)
    assert len(answer(llava, one)[0]) == 4
    monkeypatch.setattr(llava, "hf_device_map", {"": 0, "lm_head": "cpu", "model": "disk"})
    assert len(answer(llava, one, "fastv", 20)[0]) == 4


def test_a_pipeline_around_a_pruned_model(tmp_path, data):
    folder = write_tiny("llava", tmp_path / "llava", CLIP)
    asks = pipeline("image-text-to-text", model=str(folder), device="cpu")
    content = [{"type": "image", "image": data[0].image()}, {"type": "text", "text": "where?"}]
    given = {
        "text": [{"role": "user", "content": content}],
        "generate_kwargs": {"max_new_tokens": 4, "do_sample": False},
        "return_full_text": False,
    }
    whole = asks(**given)[0]["generated_text"]
    with prune(asks.model, ORIGINAL, 0.25) as pruned:
        few = asks(**given)[0]["generated_text"]
    assert len(pruned.token_counts) == 1
    assert few != whole
    assert asks(**given)[0]["generated_text"] == whole
