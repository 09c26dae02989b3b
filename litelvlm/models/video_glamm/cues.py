"""What a method may read of a VideoGLaMM about one clip and one conversation."""

from collections.abc import Callable
from functools import cache, partial

from jaxtyping import Float
from torch import Tensor

from litelvlm.clip.probes.last_blocks import readout_cues
from litelvlm.clip.readouts import ranked_patches
from litelvlm.clip.states import ClipImage
from litelvlm.clip.vit_view import ClipVitView
from litelvlm.keys import frame_key
from litelvlm.models.requests import Conversation
from litelvlm.models.video_glamm.network import VideoGlammNetwork, pool_squares
from litelvlm.models.video_glamm.outputs import ClipState
from litelvlm.models.view import image_tower_cues
from litelvlm.pruning import CUES, Cues
from litelvlm.pruning.frames import FrameCues, clip_cues
from litelvlm.pruning.grid import box_cells

Sources = dict[str, Tensor | Callable[[], Tensor]]


def frame_of(clip: ClipImage, place: int) -> ClipImage:
    """One frame as a batch of one."""
    one = slice(place, place + 1)
    return ClipImage(clip.tower, tuple(state[one] for state in clip.states), clip.pixel_values[one])


def video_cues(
    model: VideoGlammNetwork,
    state: ClipState,
    conversation: Conversation,
    coverage: Float[Tensor, "*n"] | None = None,
    key: int = 0,
) -> Cues:
    """Every cue, computed when a method reads it (see ``VideoGlamm.cues``)."""

    @cache  # once for all frames
    def texts() -> Tensor:
        return model.tower.text(conversation.questions).text_embeds

    covered = None if coverage is None else coverage.flatten().to(model.device)
    n_frames, layout = len(state.read), state.view.layout
    images = {place: frame_of(state.clip, place) for place in set(state.read)}
    frames = []
    for number, place in enumerate(state.read):
        own = slice(number * layout.per_frame, (number + 1) * layout.per_frame)
        tokens, of_tower = state.tokens[own], tower_sources(images[place])
        sources: Sources = {"text_embeds": texts}
        if model.point.pooled and not state.is_image:
            sources |= {name: partial(_pooled, model, name, one) for name, one in of_tower.items()}
            sources["projected"] = tokens
        else:
            sources |= {**of_tower, "projected": partial(model.project_image, tokens)}
        if covered is not None:
            sources["coverage"] = covered[own]
            sources["box"] = partial(box_cells, covered[own].float(), layout.grid)
        view = partial(ClipVitView, images[place])
        own_key = frame_key(key, number, n_frames)
        frames.append(Cues(sources, layout.grid, own_key, vit=view))
    if state.is_image:
        return frames[0]
    return FrameCues(frames, key) if model.point.by_frame else clip_cues(frames, key)


def tower_sources(image: ClipImage) -> dict[str, Callable[[], Tensor]]:
    """Cues of one frame that are states of CLIP, on CLIP's own grid."""
    return {
        **image_tower_cues(lambda: image),
        "patch_embeds": lambda: ranked_patches(image)[0],
        **readout_cues(lambda: image),
    }


def _pooled(model: VideoGlammNetwork, name: str, source: Callable[[], Tensor]) -> Tensor:
    """A cue on the pooled grid: rows of tokens are averaged as the tokens are."""
    values = source()
    if CUES[name].axes[:1] != "N":
        return values
    rows = values.reshape(1, len(values), -1)
    return pool_squares(rows, model.grids.pooled)[0].reshape(-1, *values.shape[1:])
