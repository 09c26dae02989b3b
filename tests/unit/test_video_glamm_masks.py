"""Masks of VideoGLaMM against the library's own SAM2, from the answer of the language model on.

The bundled recordings of the official code end at the embedding of [SEG] and hold SAM2's input.
From there on transformers' session (memory) and its model of images (framewise) stand in for it.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from tests.sam2_reference import image_masks, session_masks
from tests.video_glamm_parts import clip_frames, load, write_folder

SIZE = (90, 120)
MEAN, STD = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A SAM2 whose masks are neither empty nor full, and differ from frame to frame."""
    model = load(write_folder(tmp_path_factory.mktemp("videoglamm")))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(5)
        for weight in model.sam2.parameters():
            spread = 0.3 if weight.ndim < 2 else min(1.0, 1.2 / weight[0].numel() ** 0.5)
            weight.add_(torch.randn_like(weight) * spread)
        model.sam2.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(3.0)
    return model


def square(frame):
    """SAM2's input as the official code makes it: the longest side, normalised, then stretched."""
    side = 128
    scale = side / max(frame.size)
    wide, high = (round(length * scale) for length in frame.size)
    small = np.asarray(frame.resize((wide, high), Image.Resampling.BILINEAR), dtype=np.float64)
    normal = torch.from_numpy((small - np.array(MEAN)) / np.array(STD)).permute(2, 0, 1)[None]
    return F.interpolate(normal.float(), (side, side), mode="bilinear", align_corners=False)[0]


def at_frame_size(low):
    return F.interpolate(low, SIZE, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("answer", ["forced", "generated"])
@pytest.mark.parametrize("masks", ["memory", "framewise"])
@torch.inference_mode()
def test_masks_are_those_of_the_library_s_session_and_model_of_images(model, masks, answer):
    model, frames = model.with_options(masks=masks), clip_frames(6)
    found = model.segment(frames, ["the dog", "a cat on the left"], answer=answer)
    assert all(found.found)
    pixels = torch.stack([square(frame) for frame in frames])
    if masks == "memory":
        prompts = found.seg_embeddings[:, None]
        low = session_masks(model.sam2, pixels, prompts, clicked=True, size=SIZE)
        other = session_masks(model.sam2, pixels, prompts, clicked=False, size=SIZE)
        assert (other - low)[:, 1:].abs().max() > 2e-2  # the wrong recipe would be seen
    else:
        low = image_masks(model.sam2, pixels, found.seg_embeddings)
    expected = at_frame_size(low)
    torch.testing.assert_close(found.logits, expected, atol=2e-3, rtol=0)
    assert (found.masks != (expected > 0)).double().mean() < 1e-4
    shares = found.masks.double().mean((2, 3))
    assert 0.01 < shares.min() < shares.max() < 0.99
    assert shares.std(1).min() > 1e-3  # no frame repeats another
