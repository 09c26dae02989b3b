"""What towers and language models of any family show: the substitutes, and CLS."""

import pytest
import torch

from litelvlm import get_pruner, prune
from litelvlm.models.vlm.families import VLM_FAMILIES
from litelvlm.models.vlm.network import encode
from litelvlm.models.vlm_base import tower
from litelvlm.models.vlm_base.attention import READER, Reader, read
from litelvlm.models.vlm_base.tower import TOWERS, attention_modules, source_block, tower_watched
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm

KNOWN = [name for name, family in VLM_FAMILIES.items() if family.patches != "unknown"]


def tower_of(model):
    return next(t for name in TOWERS if (t := getattr(model.base_model, name, None)) is not None)


def features(model, inputs):
    with torch.no_grad():
        output = encode(model, inputs)[0]["image"].output.pooler_output
    return torch.cat([part.reshape(-1, part.shape[-1]) for part in output])


@pytest.mark.parametrize("name", KNOWN)
def test_patches_are_given_to_the_token_that_they_make(name):
    """A changed patch, behind the last block that counts, changes its own token and no other."""
    model, inputs = tiny_vlm(name), tiny_prompt(name)
    tower = tower_of(model)
    modules = attention_modules(tower)
    source = modules[source_block(model, len(modules))]
    path = next(path for path, module in tower.named_modules() if module is source)
    layer = tower.get_submodule(path.rpartition(".")[0])
    mlp = getattr(layer, "mlp", None) or layer.ffn
    plain = features(model, inputs)
    with tower_watched(model, VLM_FAMILIES[name].patches) as signals, torch.no_grad():
        encode(model, inputs)
    found = signals()
    length = sum(call.key.shape[2] for call in found.source)
    prefix = found._prefix([len(plain)])
    for patch in (0, 1, 7, length - prefix - 1):

        def disturb(module, given, out, place=patch + prefix):
            states = (out[0] if isinstance(out, tuple) else out).clone()
            states.view(-1, states.shape[-1])[place] += 1.0
            return (states, *out[1:]) if isinstance(out, tuple) else states

        handle = mlp.register_forward_hook(disturb)
        changed = (features(model, inputs) != plain).any(dim=1)
        handle.remove()
        mark = torch.zeros(1, length)
        mark[0, patch + prefix] = 1.0
        assert changed.nonzero().flatten().tolist() == [
            int(found._tokens([mark], [len(plain)]).argmax())
        ]


def test_signals_of_clip_are_the_librarys_own():
    model, inputs = tiny_vlm("llava"), tiny_prompt("llava", (2,))
    pruned = prune(model, "fastervlm", 9)
    pruned.forward(**inputs)
    reference = tiny_vlm("llava")
    reference.base_model.vision_tower.set_attn_implementation("eager")
    with torch.no_grad():
        out = reference.base_model.vision_tower(inputs["pixel_values"], output_attentions=True)
    weights = out.attentions[-2].mean(dim=1)
    for image in range(2):
        expected = weights[image, 0, 1:].topk(9).indices.sort().values
        assert pruned.last.selections[image].indices.tolist() == expected.tolist()
    received = prune(model, "received_attention", 9)
    received.forward(**inputs)
    expected = weights[1].mean(dim=0)[1:].topk(9).indices.sort().values
    assert received.last.selections[1].indices.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["llava", "internvl", "qwen2_5_vl", "gemma3"])
@pytest.mark.parametrize("method", ["received_attention", "tower_value_norm", "vispruner"])
def test_methods_that_read_the_tower(name, method):
    model, inputs = tiny_vlm(name), tiny_prompt(name)
    modules = attention_modules(tower_of(model))
    own = [module.config for module in modules]
    with torch.no_grad():
        plain = model(**inputs)["logits"]
        pruned = prune(model, method, 4)
        assert torch.isfinite(pruned.forward(**inputs)["logits"]).all()
        assert pruned.token_counts == [4]
        # Watching changes nothing, and nothing of it is left.
        everything = prune(model, method, 1 - 1e-9).forward(**inputs)["logits"]
        assert torch.equal(everything, plain)
    assert all(module.config is config for module, config in zip(modules, own, strict=True))
    assert all(READER not in module.__dict__ for module in modules)


def test_what_a_tower_cannot_give_is_refused_by_name():
    with pytest.raises(
        ValueError, match="prumerge_plus on image 0: the image tower has no CLS token"
    ):
        prune(tiny_vlm("qwen2_vl"), "prumerge_plus", 4).forward(**tiny_prompt("qwen2_vl"))
    with pytest.raises(ValueError, match="reads the cue 'cls_attention'"):
        prune(tiny_vlm("llava_next"), "vispruner", 4).forward(**tiny_prompt("llava_next"))


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "qwen3_vl"])
def test_attention_of_an_unpruned_pass(name):
    """Attention of the prompt reads the row that the library's eager kernel gives."""
    model, inputs = tiny_vlm(name), tiny_prompt(name)
    method = get_pruner("llm_attention", query_token="last_prompt", layers=1)
    pruned = prune(model, method, 5)
    pruned.forward(**inputs)
    columns = pruned.last.slots[0].item.columns
    model.set_attn_implementation("eager")
    with torch.no_grad():
        weights = model(**inputs, output_attentions=True).attentions[1]
    row = weights[0, :, -1, columns].mean(dim=0)
    expected = row.topk(5).indices.sort().values
    assert pruned.last.selections[0].indices.tolist() == expected.tolist()
    with prune(model, method, 5), torch.no_grad():
        inside = model(**inputs)["logits"]
    assert torch.isfinite(inside).all()


def test_images_of_a_call_are_read_once(monkeypatch):
    """One pass over the states of all images, however many images and methods ask."""
    read = []
    own = tower.received_attention
    monkeypatch.setattr(tower, "received_attention", lambda call: read.append(call) or own(call))
    model, inputs = tiny_vlm("qwen2_5_vl"), tiny_prompt("qwen2_5_vl", (3,))
    pruned = prune(model, "received_attention", 4)
    pruned.forward(**inputs)
    assert pruned.token_counts == [4, 4, 4]
    assert len(read) == len(set(map(id, read)))


def test_images_in_one_row_are_told_apart():
    """Flash attention gets the patches of all images in one call, with their bounds."""
    module, reader = torch.nn.Module(), Reader("sdpa")
    module.__dict__[READER] = reader
    states = torch.randn(1, 2, 5, 4)
    read(module, states, states, states, None, cu_seq_lens_q=torch.tensor([0, 2, 5]))
    assert [call.key.shape[2] for call in reader.calls] == [2, 3]
    assert torch.equal(reader.calls[1].value, states[:, :, 2:])


def test_studies_read_cues_of_any_model():
    """Scores of every kind for each image of a call, without pruning anything."""
    model, inputs = tiny_vlm("qwen2_5_vl"), tiny_prompt("qwen2_5_vl", (1, 1), (4, 9))
    reader = prune(model, "divprune", 4)
    first, second = reader.cues(**inputs)
    assert (first.grid, first.n_tokens) == ((3, 4), 12)
    assert second.get("llm_prompt_attention").shape == (12, 3)
    for name in ("input_similarity", "received_attention", "tower_value_norm", "rotary_cosine"):
        assert second.get(name).shape == (12,)
        assert not torch.equal(first.get(name), second.get(name)) or name == "rotary_cosine"
    assert reader.token_counts == []
    with pytest.raises(ValueError, match="reads the cue 'text_embeds'"):
        first.get("text_embeds")
