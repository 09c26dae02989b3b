"""Published weights into real modules.

Full size by name and shape, a tiny model by value, misfits by message.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from litelvlm.data.safe.weight_files import read_checkpoint
from litelvlm.models.glamm.build import new_parts
from litelvlm.models.glamm.checkpoints.config import full_config
from litelvlm.models.glamm.checkpoints.mapping import NAMES
from litelvlm.models.weights import load_into, save_checkpoint
from tests.parity.published import sam_config

PARITY = Path(__file__).parents[1] / "fixtures" / "parity"


def tiny_parts(device="meta"):
    index = json.loads((PARITY / "glamm" / "index.json").read_text())
    sizes = {
        **index["llama"],
        "mm_hidden_size": index["clip"]["hidden"],
        "out_dim": index["out_dim"],
    }
    with torch.device(device):
        return new_parts({**sizes, "sam": sam_config(index).to_dict()}, "eager")


@pytest.fixture
def folder(tmp_path):
    shutil.copyfile(PARITY / "glamm" / "checkpoint.safetensors", tmp_path / "model.safetensors")
    return tmp_path


@pytest.fixture
def loaded(folder):
    parts = tiny_parts()
    load_into(NAMES, parts, folder, torch.float32)
    return parts


def test_all_published_tensors_fit_the_full_size_modules():
    with torch.device("meta"):
        parts = new_parts(full_config(), "sdpa")
    places = {
        (c, n): list(t.shape) for c, part in parts.items() for n, t in part.state_dict().items()
    }
    shapes = json.loads((PARITY / "layout" / "checkpoint_keys.json").read_text())["keys"]
    filled = {}
    for name, shape in shapes.items():
        target = NAMES.target_of(name)
        if target is not None:
            filled[target] = shape
            filled |= {NAMES.twins[target]: shape} if target in NAMES.twins else {}
    assert filled == places


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_tensor_arrives(folder, dtype):
    parts = tiny_parts()
    load_into(NAMES, parts, folder, dtype)
    states = {component: part.state_dict() for component, part in parts.items()}
    used = 0
    for name, tensor in read_checkpoint(folder):
        target = NAMES.target_of(name)
        if target is not None:
            used += 1
            assert torch.equal(states[target.component][target.name], tensor.to(dtype)), name
    # The Fourier matrix fills two places.
    assert used + 1 == sum(map(len, states.values()))


def test_what_the_meta_device_left_empty_is_computed_again(loaded):
    rotary = loaded["llama"].model.rotary_emb
    # Head width 16: frequencies 10000 ** (-2 i / 16), in float32 whatever the weights are.
    torch.testing.assert_close(rotary.inv_freq, 10000.0 ** (-torch.arange(0, 16, 2) / 16))
    named = [t for part in loaded.values() for t in (*part.parameters(), *part.buffers())]
    assert not any(t.is_meta for t in named)


def test_fourier_matrix_stays_one_tensor(loaded):
    sam = loaded["sam"]
    first, second = sam.shared_image_embedding, sam.prompt_encoder.shared_embedding
    assert first.positional_embedding.data_ptr() == second.positional_embedding.data_ptr()


def test_weights_outlive_their_file(folder, loaded):
    before = loaded["llama"].model.norm.weight.clone()
    (folder / "model.safetensors").write_bytes(b"")
    assert torch.equal(loaded["llama"].model.norm.weight, before)


def test_saved_weights_have_the_published_names(folder, loaded, tmp_path):
    save_checkpoint(NAMES, loaded, tmp_path / "again")
    saved, original = dict(read_checkpoint(tmp_path / "again")), dict(read_checkpoint(folder))
    needed = {name for name in original if NAMES.target_of(name) is not None}
    assert saved.keys() == needed
    assert all(torch.equal(saved[name], original[name]) for name in needed)


def test_misfits_are_named_and_nothing_changes(folder):
    parts = tiny_parts("cpu")
    before = parts["projector"][0].weight.clone()
    wrong = dict(read_checkpoint(folder))
    wrong = {name: tensor.clone() for name, tensor in wrong.items() if "mlp.up_proj" not in name}
    wrong |= {"extra.weight": torch.ones(1), "model.norm.weight": torch.ones(3)}
    save_file(wrong, folder / "model.safetensors")
    with pytest.raises(ValueError, match="does not fit the model") as caught:
        load_into(NAMES, parts, folder, torch.float32)
    for part in (
        "1 unknown: extra.weight",
        "3 missing: model.layers.0.mlp.up_proj.weight",
        "1 misshapen: model.norm.weight is [3], the model expects [64]",
    ):
        assert part in str(caught.value)
    assert torch.equal(parts["projector"][0].weight, before)


def test_components_are_all_or_nothing(folder):
    parts = tiny_parts()
    del parts["sam"]
    with pytest.raises(ValueError, match="components must be llama, projector, seg_head, sam"):
        load_into(NAMES, parts, folder, torch.float32)
