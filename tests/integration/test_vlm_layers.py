"""Methods inside the language model of any family: FastV, PyramidDrop and their kin."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from litelvlm import get_pruner, prune
from litelvlm.models.vlm.layers.drops import cut_mask
from litelvlm.models.vlm.shorten import full_positions
from litelvlm.pruning.layers.state import text_raters
from litelvlm.pruning.ranking import highest
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm
from tests.tiny_vlms.table import IMAGE

LLAMA_AND_QWEN = ("llava", "smolvlm", "internvl", "qwen2_vl", "qwen2_5_vl", "lighton_ocr")
METHODS = {
    "fastv": get_pruner("fastv", layer=1),
    "pyramiddrop": get_pruner("pyramiddrop", layers=(1, 2), positions="original"),
    "dart": get_pruner("dart", layer=1),
    "sparsevlm_plus": get_pruner("sparsevlm_plus", layers=(1, 2)),
}


@contextmanager
def masked_by_layer(model, hidden, length):
    """Hide some columns from the attention of each layer; nothing is dropped."""

    def hook(index):
        def before(layer, given, options):
            size = (given[0] if given else options["hidden_states"]).shape[1]
            allowed = torch.ones(size, size).tril().bool()
            allowed[:, hidden[index]] = False
            # A hidden column still has a state of its own, which nobody reads.
            allowed |= torch.eye(size, dtype=torch.bool)
            return given, {**options, "attention_mask": allowed[None, None]}

        return before

    layers = model.get_decoder().layers
    handles = [
        layer.register_forward_pre_hook(hook(i), with_kwargs=True) for i, layer in enumerate(layers)
    ]
    yield
    for handle in handles:
        handle.remove()


def reference(model, inputs, pruned, ids):
    """Logits of the full prompt and an answer, with the keys masked that each layer dropped."""
    columns = inputs["input_ids"].shape[1]
    hidden = []
    for stage in pruned.layers.stages:
        gone = torch.ones(columns, dtype=torch.bool)
        gone[stage.columns[0]] = False
        hidden.append(gone.nonzero().flatten())
    new = ids.shape[1] - columns
    positions = full_positions(model, inputs, inputs["attention_mask"])
    positions = torch.cat([positions, positions[..., -1:] + 1 + torch.arange(new)], dim=-1)
    mask = torch.ones_like(ids)
    given = {**inputs, "input_ids": ids, "attention_mask": mask, "position_ids": positions}
    if len(positions) == 1:
        given["position_ids"] = positions[0]
    given.pop("mm_token_type_ids", None)
    with masked_by_layer(model, hidden, columns), torch.no_grad():
        return model(**given)["logits"]


PAIRS = [(name, method) for name in LLAMA_AND_QWEN for method in ("fastv", "pyramiddrop")]


@pytest.mark.parametrize(
    ("name", "method"), [*PAIRS, ("llava", "dart"), ("llava", "sparsevlm_plus")]
)
def test_dropping_equals_masking(name, method):
    model, inputs = tiny_vlm(name), tiny_prompt(name)
    pruned = prune(model, METHODS[method], 0.6)
    out = pruned.generate(
        **inputs, max_new_tokens=3, return_dict_in_generate=True, output_logits=True
    )
    ids, logits = out["sequences"], torch.cat(list(out["logits"]))
    counts = pruned.layers.images[0].counts
    n_tokens = counts[0]
    assert counts == list(METHODS[method].schedule(0.6, n_tokens, 3))
    assert counts[-1] < n_tokens
    expected = reference(model, inputs, pruned, ids)[0, -4:-1]
    assert (logits - expected).abs().max() <= 1e-6
    with torch.no_grad():
        plain = model(**inputs)["logits"][0, -1]
    assert (logits[0] - plain).abs().max() > 1e-3


@pytest.mark.parametrize("name", LLAMA_AND_QWEN)
def test_fastv_keeps_what_the_last_token_attends_to(name):
    """The attention row computed here is the library's own, of its eager kernel."""
    model, inputs = tiny_vlm(name), tiny_prompt(name)
    pruned = prune(model, METHODS["fastv"], 0.6)
    pruned.forward(**inputs)
    image = pruned.layers.images[0]
    model.set_attn_implementation("eager")
    with torch.no_grad():
        weights = model(**inputs, output_attentions=True).attentions[0]
    row = weights[0, :, -1, image.columns].mean(dim=0)
    expected = highest(row, image.counts[-1]).sort().values
    assert image.image.tolist() == expected.tolist()


def answer(model, pruner, given):
    """Logits of three generated words."""
    out = prune(model, pruner, 0.6).generate(
        **given, max_new_tokens=3, return_dict_in_generate=True, output_logits=True
    )
    return torch.stack(list(out["logits"]), dim=1)


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
@pytest.mark.parametrize("method", ["fastv", "pyramiddrop"])
def test_a_batch_equals_single_calls(name, method):
    model, inputs = tiny_vlm(name), tiny_prompt(name, (1, 1), (4, 9))
    pruner = replace(METHODS[method], positions="contiguous")

    together = answer(model, pruner, inputs)
    for row in range(2):
        alone = {}
        for key, value in inputs.items():
            if value.shape == inputs["input_ids"].shape:
                alone[key] = value[row : row + 1, inputs["attention_mask"][row].bool()]
            else:
                half = len(value) // 2
                alone[key] = value[row * half : (row + 1) * half]
        assert (together[row] - answer(model, pruner, alone)[0]).abs().max() <= 1e-6


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_rows_that_keep_different_numbers_of_tokens(kernel):
    """A second image in one row only: shorter rows are padded, and the padding is masked."""
    model, inputs = tiny_vlm("llava"), tiny_prompt("llava", (2, 1), (4, 9))
    model.set_attn_implementation(kernel)
    pruner = METHODS["fastv"]

    together = answer(model, pruner, inputs)
    images = (slice(0, 2), slice(2, 3))
    for row, own in enumerate(images):
        real = inputs["attention_mask"][row].bool()
        alone = {
            "input_ids": inputs["input_ids"][row : row + 1, real],
            "attention_mask": inputs["attention_mask"][row : row + 1, real],
            "pixel_values": inputs["pixel_values"][own],
        }
        assert (together[row] - answer(model, pruner, alone)[0]).abs().max() <= 1e-6


@pytest.mark.parametrize("asks", ["mean_text", "raters"])
def test_text_alone_ranks_images_and_no_other_image_does(asks):
    ids = torch.tensor([[1, 3] + [IMAGE] * 36 + [7, 8] + [IMAGE] * 36 + [11, 12, 13]])
    model, mask = tiny_vlm("llava"), torch.ones_like(ids, dtype=torch.bool)
    images = tiny_prompt("llava", (2,), (3,))["pixel_values"]
    pruned = prune(model, get_pruner("pyramiddrop", layers=(1, 2), query_token=asks), 22)
    pruned.forward(input_ids=ids, pixel_values=images, attention_mask=mask)
    assert bool(mask.all())
    for image, slot, behind in zip(
        pruned.layers.images,
        pruned.last.slots,
        ([38, 39, 76, 77, 78], [76, 77, 78]),
        strict=True,
    ):
        asked = torch.tensor(behind)
        if asks == "raters":
            words = model.get_input_embeddings()(ids[0, asked])
            asked = asked[text_raters(slot.item.features, words)]
        assert image.queries.tolist() == asked.tolist()


@pytest.mark.parametrize(
    ("asks", "why"),
    [("last_prompt", "no text follows the image"), ("seg", "a token of grounding models")],
)
def test_a_prompt_without_the_token_that_ranks_is_refused(asks, why):
    inputs = tiny_prompt("llava")
    if asks == "last_prompt":
        end = int((inputs["input_ids"] == IMAGE).nonzero()[-1, 1]) + 1
        inputs |= {name: inputs[name][:, :end] for name in ("input_ids", "attention_mask")}
    with pytest.raises(ValueError, match=why):
        prune(tiny_vlm("llava"), get_pruner("fastv", layer=1, query_token=asks), 22).forward(
            **inputs
        )


def test_pyramiddrop_renumbers_without_gaps():
    model, inputs = tiny_vlm("llava"), tiny_prompt("llava")
    pruned = prune(model, get_pruner("pyramiddrop", layers=(1, 2)), 0.6)
    pruned.forward(**inputs)
    for stage in pruned.layers.stages:
        width = stage.columns.shape[1]
        assert stage.positions[0, 0].tolist() == list(range(width))
    widths = [stage.columns.shape[1] for stage in pruned.layers.stages]
    assert widths[0] > widths[1] > widths[2]


def test_all_tokens_is_the_unpruned_model():
    for name in ("llava", "qwen2_5_vl"):
        model, inputs = tiny_vlm(name), tiny_prompt(name)
        with torch.no_grad():
            plain = model(**inputs)["logits"]
            for method in ("fastv", "pyramiddrop"):
                same = prune(model, method, 1 - 1e-9).forward(**inputs)["logits"]
                assert torch.equal(same, plain)


def test_hooks_are_gone_after_an_error():
    model, inputs = tiny_vlm("llava"), tiny_prompt("llava")
    pruned = prune(model, METHODS["fastv"], 0.6)
    with pytest.raises(TypeError):
        pruned.forward(**inputs, logits_to_keep="wrong")
    assert all(not layer._forward_pre_hooks for layer in model.get_decoder().layers)


@pytest.mark.parametrize(
    ("name", "method", "why"),
    [
        ("qwen3_vl", "fastv", "deepstack"),
        ("gemma3", "fastv", "both directions"),
        ("paligemma", "pyramiddrop", "both directions"),
        ("lfm2_vl", "fastv", "conv"),
        ("llava", "lvlm_csp_like", "brings dropped tokens back"),
    ],
)
def test_models_and_methods_that_do_not_fit_are_refused_by_name(name, method, why):
    with pytest.raises(ValueError, match=why) as refused:
        prune(tiny_vlm(name), method, 0.6)
    assert method in str(refused.value)
    assert "divprune" in str(refused.value)


def test_merging_between_layers_is_refused():
    pruned = prune(tiny_vlm("llava"), get_pruner("sparsevlm", layers=(1, 2)), 0.6)
    with pytest.raises(ValueError, match="sparsevlm merges tokens"):
        pruned.forward(**tiny_prompt("llava"))


@pytest.mark.parametrize(
    ("cache", "words"),
    [
        ({"use_cache": False}, "use_cache=True"),
        ({"cache_implementation": "static", "disable_compile": True}, "a cache that grows"),
    ],
)
def test_generating_without_a_cache_that_grows_is_refused(cache, words):
    pruned = prune(tiny_vlm("llava"), METHODS["fastv"], 0.6)
    with pytest.raises(ValueError, match=words):
        pruned.generate(**tiny_prompt("llava"), max_new_tokens=2, **cache)


def test_beams_share_the_tokens_of_their_prompt():
    model, inputs = tiny_vlm("llava"), tiny_prompt("llava", (1, 1), (4, 9))
    pruned = prune(model, METHODS["fastv"], 0.6)
    beams = pruned.generate(**inputs, max_new_tokens=4, num_beams=3)
    assert beams.shape == (2, inputs["input_ids"].shape[1] + 4)
    kept = [image.image.tolist() for image in pruned.layers.images]
    several = pruned.generate(
        **inputs, max_new_tokens=2, do_sample=True, num_return_sequences=3,
        return_dict_in_generate=True, output_logits=True,
    )  # fmt: skip
    assert [image.image.tolist() for image in pruned.layers.images] == kept
    first = several["logits"][0].unflatten(0, (2, 3))
    assert torch.allclose(first[:, :1].expand(-1, 3, -1), first, atol=1e-6)
    assert pruned.layer_counts == [list(METHODS["fastv"].schedule(0.6, 36, 3))] * 2


def test_masks_of_kernels_that_take_another_form_are_refused():
    keys = torch.arange(6).expand(2, -1)
    padding = torch.ones(2, 6, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"'flash_attention_2' reads .*attn_implementation='sdpa'"):
        cut_mask(padding, keys, keys[:, [0, 2, 5]], "flash_attention_2")
    assert cut_mask(None, keys, keys[:, [0, 2, 5]], "flash_attention_2") is None
