"""SAM2 with embeddings as prompts: against the library's session, by hand, and at full size."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from litelvlm.models.sam2 import frames as frames_module
from litelvlm.models.sam2.decoding import NO_OBJECT
from litelvlm.models.sam2.frames import Sam2Frames
from litelvlm.models.sam2.masker import ClipMasker, FramewiseMasker
from litelvlm.models.sam2.memory import Memory
from litelvlm.models.sam2.names import TWINS, sam2_rows
from litelvlm.models.sam2.preprocess import longest_side_stretched, stretched
from litelvlm.models.sam2.sizes import SAM2_LARGE, SAM21_BASE_PLUS, new_sam2
from litelvlm.models.weight_names import NameTable
from litelvlm.models.weights import load_into, places_of, save_checkpoint
from tests.sam2_reference import TINY, clip_frames, session_masks, tiny_sam2

pytestmark = pytest.mark.usefixtures("no_gradients")
NAMES = NameTable(
    "SAM2",
    sam2_rows("sam2."),
    twins=TWINS,
)


@pytest.fixture
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def sam():
    return tiny_sam2()


def embeddings(count, tokens=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, tokens * TINY.width, generator=generator)


def clip_of(sam, n_frames, square=stretched):
    return Sam2Frames(sam, clip_frames(n_frames), square)


def low_res(masker, embeds):
    return torch.stack([step.masks.low_res for step in masker.steps(embeds)], 1)


@pytest.mark.parametrize(("version", "tokens"), [("2.0", 1), ("2.1", 2)])
@pytest.mark.parametrize("clicked", [False, True])
def test_a_clip_equals_the_library_s_session(version, tokens, clicked):
    sam = tiny_sam2(sizes=replace(TINY, version=version))
    clip, embeds = clip_of(sam, 9), embeddings(2, tokens)
    got = low_res(ClipMasker(sam, clip, "bfloat16", binarised=clicked), embeds)
    pixels = torch.stack([clip.pixels(n) for n in range(len(clip))])
    expected = session_masks(sam, pixels, embeds.unflatten(-1, (-1, TINY.width)), clicked)
    torch.testing.assert_close(got, expected, atol=2e-3, rtol=0)
    other = low_res(ClipMasker(sam, clip, "bfloat16", binarised=not clicked), embeds)
    torch.testing.assert_close(other[:, 0], got[:, 0])
    assert (other - got)[:, 1:].abs().max() > 2e-2  # the two recipes are told apart


def test_memory_is_exact_unless_it_is_rounded(sam):
    clip, embeds = clip_of(sam, 3), embeddings(1)
    for numbers, rounded in (("exact", False), ("bfloat16", True)):
        step = next(ClipMasker(sam, clip, numbers).steps(embeds))
        found = Memory(sam, 3, numbers).remember(0, step.features, step.masks).features
        assert bool((found == found.bfloat16().float()).all()) is rounded
    with pytest.raises(ValueError, match="float16"):
        ClipMasker(sam, clip, "float16")


def test_expressions_do_not_influence_each_other(sam):
    clip, embeds = clip_of(sam, 4), embeddings(3)
    together = ClipMasker(sam, clip).decode(embeds)
    assert together.shape == (3, 4, 60, 80)
    alone = torch.cat([ClipMasker(sam, clip).decode(one[None]) for one in embeds])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_prompt_tokens_of_the_first_and_of_later_frames(sam):
    embeds = embeddings(1)
    first, later = ClipMasker(sam, clip_of(sam, 2)).steps(embeds)
    nothing = sam.prompt_encoder.not_a_point_embed.weight
    assert torch.equal(first.prompts[0], torch.cat([nothing, nothing, embeds.view(2, -1)]))
    assert torch.equal(later.prompts[0], torch.cat([nothing, nothing]))
    (step,) = FramewiseMasker(sam, clip_of(sam, 1)).steps(embeds[:, : TINY.width])
    assert torch.equal(step.prompts[0], embeds[:, : TINY.width])


def test_an_absent_object_empties_the_mask_of_a_clip_alone():
    sam = tiny_sam2(object_bias=-50.0)
    clip, embeds = clip_of(sam, 2), embeddings(1)
    assert (ClipMasker(sam, clip).decode(embeds) == NO_OBJECT).all()
    step = next(ClipMasker(sam, clip).steps(embeds))
    assert torch.equal(step.masks.pointers, sam.no_object_pointer)
    framewise = FramewiseMasker(sam, clip).decode(embeds)
    assert (framewise != NO_OBJECT).all()


def test_an_unstable_single_mask_gives_way_to_the_best_of_three(sam):
    clip, embeds = clip_of(sam, 1), embeddings(1, 1)
    decoder = sam.mask_decoder
    found = {}
    for threshold in (0.0, 1.1):  # never and always unstable
        decoder.dynamic_multimask_stability_thresh = threshold
        found[threshold] = low_res(FramewiseMasker(sam, clip), embeds)
    decoder.dynamic_multimask_stability_thresh = 0.98
    assert not torch.equal(found[0.0], found[1.1])
    assert any(torch.equal(low_res(FramewiseMasker(sam, clip), embeds), m) for m in found.values())


def test_memory_does_not_grow_with_the_clip(sam, monkeypatch):
    monkeypatch.setattr(frames_module, "KEPT", 2)
    seen, clip = [], clip_of(sam, 20)
    original = Memory.remember

    def watched(self, *given):
        out = original(self, *given)
        seen.append(len(self.frames))
        return out

    monkeypatch.setattr(Memory, "remember", watched)
    ClipMasker(sam, clip).decode(embeddings(1))
    assert max(seen) == seen[-1] == 16  # the first, and those whose pointers are read
    assert len(seen) == 19  # nobody reads the memory of the last frame
    assert len(clip._kept) == 2


def test_each_frame_is_encoded_once(sam):
    clip, calls = clip_of(sam, 3), []
    state = SimpleNamespace(sam_frames=clip, view=None, timings={}, tokens=None)
    hook = sam.vision_encoder.register_forward_hook(lambda *_: calls.append(1))
    masker = ClipMasker(sam).begin(state)
    masker.decode(embeddings(2))
    masker.decode(embeddings(1, seed=5))
    hook.remove()
    assert len(calls) == 3


def test_broken_clips(sam, tmp_path):
    good, path = clip_frames(2), tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG no more")
    with pytest.raises(ValueError, match="no frames"):
        Sam2Frames(sam, [], stretched)
    clip = Sam2Frames(sam, [good[0], path], stretched)
    with pytest.raises(ValueError, match=r"frame 1 of the clip: .*broken\.png"):
        ClipMasker(sam, clip).decode(embeddings(1))
    odd = Sam2Frames(sam, [good[0], good[1][:50]], stretched)
    with pytest.raises(ValueError, match="frame 1 of the clip has 50 x 80 pixels and frame 0 60 x"):
        ClipMasker(sam, odd).decode(embeddings(1))
    with pytest.raises(FileNotFoundError, match="missing"):
        Sam2Frames(sam, [good[0], tmp_path / "missing.png"], stretched).pixels(1)
    with pytest.raises(ValueError, match=r"call begin\(state\)"):
        ClipMasker(sam).decode(embeddings(1))


def test_square_inputs():
    image = Image.fromarray(clip_frames(1, 90, 120)[0])
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    small = F.interpolate(pixels[None] / 255, (32, 32), mode="bilinear", antialias=True)[0]
    torch.testing.assert_close(stretched(image, 32), (small - mean) / std)
    # 90 x 120 to the longest side 33 is 24.75 -> 25 rows, which are stretched to 33.
    resized = torch.from_numpy(np.array(image.resize((33, 25), Image.Resampling.BILINEAR)))
    normal = (resized.permute(2, 0, 1).float() - 255 * mean) / (255 * std)
    expected = F.interpolate(normal[None], (33, 33), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(longest_side_stretched(image, 33), expected, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="1 x 900 pixels is too narrow"):
        longest_side_stretched(image.resize((900, 1)), 128)


@pytest.mark.parametrize(("sizes", "count"), [(SAM2_LARGE, 900), (SAM21_BASE_PLUS, 615)])
def test_full_size_has_the_published_number_of_tensors(sizes, count):
    with torch.device("meta"):
        places = places_of(NAMES, {"sam2": new_sam2(sizes)})
    names = {NAMES.official_name(place) for place in places} - {None}
    assert len(names) == count
    assert len({NAMES.target_of(name) for name in names}) == count


def test_weights_go_out_and_come_back(sam, tmp_path):
    save_checkpoint(NAMES, {"sam2": sam}, tmp_path)
    with torch.device("meta"):
        other = new_sam2(TINY)
    load_into(NAMES, {"sam2": other}, tmp_path, torch.float32)
    embeds = embeddings(1)
    before = ClipMasker(sam, clip_of(sam, 3)).decode(embeds)
    assert torch.equal(ClipMasker(other, clip_of(other, 3)).decode(embeds), before)


def test_both_names_of_one_weight_are_refused(sam, tmp_path):
    save_checkpoint(NAMES, {"sam2": sam}, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    old = "sam2.memory_encoder.fuser.layers.0."
    tensors[old + "gamma"] = tensors[old + "weight"].clone()
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"1 twice: memory_encoder.memory_fuser.layers.0.scale"):
        load_into(NAMES, {"sam2": new_sam2(TINY)}, tmp_path, torch.float32)
    del tensors[old + "weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    load_into(NAMES, {"sam2": new_sam2(TINY)}, tmp_path, torch.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"width": 64}, "larger multiple of 64"), ({"image_size": 100}, "no multiple of 32")],
)
def test_impossible_sizes(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)
