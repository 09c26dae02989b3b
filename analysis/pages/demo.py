"""The live demo: one expression with all visual tokens and with a pruned set, on a gradio page."""

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.studies.overlay import contrasting_tints, draw_kept
from litelvlm.arrays import Array
from litelvlm.data.images import open_image
from litelvlm.embedded.clip_sizes import has_miniature_sizes
from litelvlm.metrics import intersection_union
from litelvlm.models.base import Grounding, GroundingModel
from litelvlm.models.segmenting import MAX_SIGNS, checked_expressions
from litelvlm.models.timed import timed
from litelvlm.names import check_name
from litelvlm.pruning import LayerTrace, Selection, list_pruners
from litelvlm.pruning.cue_table import SUBSTITUTES

if TYPE_CHECKING:
    from gradio import Blocks

TITLE = "Visual-token pruning in pixel grounding"
MAX_BYTES = 10 * 2**20
"""Largest upload in bytes."""
MAX_PIXELS = 20_000_000
"""Most pixels of an upload; more are refused before they are decoded."""
KEPT = (60, 240)
"""Every so many seconds, pictures older than so many seconds are deleted."""
MAX_WAITING = 8
"""Requests that wait for their turn; further ones are told to come back."""
SESSIONS = 64
"""Visitors whose copy of the page is kept in memory; gradio keeps 10,000."""
TIMES = 64
"""Answers whose times gradio keeps; it would keep 10,000 and summarise them after each answer."""
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
REPEATS = 3
"""Timed passes of the language model and the mask decoder; their median is shown."""
ORACLE_CUES = frozenset(
    {"coverage", "box", "llm_attention", "llm_prompt_attention", "llm_gradient", "block_importance"}
)
"""Cues that need the true mask or a whole unpruned pass, which the demo does not offer."""


@dataclass(frozen=True)
class DemoResult:
    """Masks and costs of one expression.

    Attributes:
        unpruned: Overlay of the mask with all tokens.
        pruned: Overlay of the mask with the kept tokens; pruned ones are dark.
        agreement: IoU of the two masks; 1 if both are empty.
        n_kept: Visual tokens per layer of the language model, on average.
        n_tokens: Visual tokens before pruning.
        unpruned_seconds: Projector, language model and mask decoder with all tokens, median of
            ``REPEATS``.
        pruned_seconds: The same with the kept tokens, the choice of tokens included.
    """

    unpruned: UInt8[Array, "height width 3"]
    pruned: UInt8[Array, "height width 3"]
    agreement: float
    n_kept: float
    n_tokens: int
    unpruned_seconds: float
    pruned_seconds: float

    @property
    def summary(self) -> str:
        """Tokens, time and agreement in words."""
        tokens = 1 - self.n_kept / self.n_tokens
        time = 1 - self.pruned_seconds / self.unpruned_seconds
        change = f"{time:.0%} less" if time >= 0 else f"{-time:.0%} more"
        return (
            f"{self.n_kept:.0f} of {self.n_tokens} visual tokens ({tokens:.0%} fewer); "
            "language model and mask decoder "
            f"{1e3 * self.pruned_seconds:.0f} ms instead of {1e3 * self.unpruned_seconds:.0f} "
            f"ms ({change} time); "
            f"the two masks agree with IoU {self.agreement:.2f}."
        )


def usable_methods() -> dict[str, str]:
    """Methods that are no oracles: name to summary."""
    return {
        name: cls.summary
        for name, cls in list_pruners().items()
        if name != "none" and not cls.needs & (ORACLE_CUES | SUBSTITUTES)
    }


def read_upload(path: str | Path) -> Image.Image:
    """Open an uploaded picture, refused before it is decoded if it is too large.

    Raises:
        ValueError: If it is too large, or no picture.
    """
    try:
        # Pillow warns above a limit that is higher than ours.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as picture:
            width, height = picture.size
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a readable picture ({type(error).__name__})") from error
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"the picture has {width} x {height} pixels; at most {MAX_PIXELS / 1e6:.0f} "
            "million are taken"
        )
    return open_image(path)


@torch.inference_mode()
def compare(
    model: GroundingModel, picture: Image.Image, text: str, method: str, budget: int, seed: int
) -> DemoResult:
    """Segment an expression with all tokens and with a pruned set.

    Args:
        model: Grounding model.
        picture: RGB picture.
        text: Referring expression.
        method: Name of a method that is no oracle.
        budget: Visual tokens to keep.
        seed: Of methods that draw at random.

    Raises:
        ValueError: If the expression is empty, the method unknown or unusable, or the budget
            impossible.
    """
    check_name(method, usable_methods(), "method")
    dialogue = model.conversation(checked_expressions(text))
    pruner = Method(name=method).pruner(seed)
    state = model.encode_image(picture)

    def ground(selection: Selection | None) -> Grounding:
        return model.ground([state], [dialogue], [selection])[0]

    def pruned() -> Grounding:
        return ground(pruner.select(model.cues(state, dialogue), budget))

    whole, few = ground(None), pruned()  # also the warm-up, which is not timed
    whole_mask, few_mask = whole.mask[0].cpu().numpy(), few.mask[0].cpu().numpy()
    (tint,) = contrasting_tints(picture, (whole_mask | few_mask)[None])
    trace = few.selection
    kept = trace.average if isinstance(trace, LayerTrace) else float(budget)
    seconds = [
        median(timed(work, model.device)["wall"] for _ in range(REPEATS)) / 1e3
        for work in (lambda: ground(None), pruned)
    ]
    return DemoResult(
        draw_kept(picture, whole_mask, None, state.view, tint),
        draw_kept(picture, few_mask, few.selection, state.view, tint),
        intersection_union(few_mask, whole_mask.astype(np.uint8)).iou,
        kept,
        state.view.n_tokens,
        *seconds,
    )


@contextmanager
def contained() -> Iterator[Path]:
    """A temporary folder for everything that gradio writes; nothing is reported to anyone.

    gradio reads its settings when it is imported, so it is imported inside only.

    Raises:
        RuntimeError: If gradio is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="litelvlm-demo-") as folder:
        os.environ |= {
            "GRADIO_TEMP_DIR": folder,
            "MPLCONFIGDIR": folder,
            "GRADIO_ANALYTICS_ENABLED": "False",
            "GRADIO_ANALYTICS_MAX_EVENTS": str(TIMES),
            "HF_HUB_OFFLINE": "1",
        }
        if find_spec("gradio") is None:
            raise RuntimeError(
                "the demo needs gradio, which is not installed here; run: pip install "
                "'gradio>=6.31' (in a checkout, `make env` installs it)"
            )
        yield Path(folder)


def build_app(model: GroundingModel, scenes: Mapping[str, Image.Image], folder: Path) -> "Blocks":
    """The page; call it inside ``contained``.

    Args:
        model: Grounding model.
        scenes: Example expressions with their pictures.
        folder: Temporary folder of ``contained``, for the example pictures.
    """
    import gradio

    # gradio answers in any of its 40 threads, and each thread that computes keeps memory for
    # itself: an arena of malloc and torch's buffers, about 13 MiB with the miniature.
    worker = ThreadPoolExecutor(max_workers=1)

    def answer(
        path: str | None, text: str, method: str, budget: float | None, seed: float | None
    ) -> tuple[UInt8[Array, "h w 3"], UInt8[Array, "h w 3"], str]:
        try:
            if path is None:
                raise ValueError("choose a picture first: upload one, or take an example")
            if budget is None or seed is None:
                raise ValueError(
                    "the number of tokens and the seed must be whole numbers; one of them is empty"
                )
            asked = read_upload(path), text, method, int(budget), int(seed)
            found = worker.submit(compare, model, *asked).result()
        except ValueError as error:
            raise gradio.Error(str(error), print_exception=False) from error
        return found.unpruned, found.pruned, found.summary

    # The slider is there before a picture is. Too large a number for a picture is refused.
    most = max(model.view(picture.height, picture.width).n_tokens for picture in scenes.values())
    examples = []
    for number, (text, picture) in enumerate(scenes.items()):
        picture.save(folder / f"example-{number}.png")
        examples.append([str(folder / f"example-{number}.png"), text])
    methods = [(f"{name}: {about}", name) for name, about in usable_methods().items()]
    with gradio.Blocks(title=TITLE, analytics_enabled=False, delete_cache=KEPT) as app:
        gradio.Markdown(f"# {TITLE}\n{note(model)}")
        with gradio.Row():
            with gradio.Column():
                inputs = [
                    gradio.Image(type="filepath", sources=["upload", "clipboard"], label="Picture"),
                    gradio.Textbox(
                        label="Expression", placeholder="the yellow giraffe", max_length=MAX_SIGNS
                    ),
                    gradio.Dropdown(methods, label="Method"),
                    gradio.Slider(
                        1, most, max(1, most // 3), step=1, label="Visual tokens to keep"
                    ),
                    gradio.Number(label="Seed of random methods", value=0, precision=0),
                ]
                run = gradio.Button("Compare", variant="primary")
            with gradio.Column():
                pruned = gradio.Image(
                    label="Pruned: dark cells were dropped; CLIP does not see hatched parts",
                    format="png",
                )
                unpruned = gradio.Image(label="Unpruned", format="png")
                summary = gradio.Markdown()
        outputs = [unpruned, pruned, summary]
        run.click(answer, inputs, outputs, api_name="compare", concurrency_limit=1)
        gradio.Examples(examples, inputs[:2])
    return app.queue(max_size=MAX_WAITING)


def note(model: GroundingModel) -> str:
    """What readers must know of the model and of their uploads."""
    limits = (
        f"Pictures up to {MAX_BYTES // 2**20} MB and {MAX_PIXELS // 10**6} million pixels. They "
        f"are deleted after {sum(KEPT) // 60} minutes at most, and when the server stops."
    )
    miniature = (
        "This model is a miniature that knows rendered scenes only; photographs are foreign to it. "
    )
    return miniature * has_miniature_sizes(model.clip_tower) + limits


@contextmanager
def served(
    model: GroundingModel, scenes: Mapping[str, Image.Image], host: str, port: int | None
) -> Iterator[str]:
    """Serve the page at the address that is given; whatever it wrote is deleted at the end.

    A page of another site cannot reach the server under a name of its own (DNS rebinding): on one
    address only its own names are answered.
    """
    names = ["*"] if host in EVERYWHERE else ["127.0.0.1", "localhost", "::1", host]
    # The theme's own fonts would be fetched from a network.
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    with contained() as folder:
        import gradio
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        app = build_app(model, scenes, folder)
        try:
            _, address, _ = app.launch(
                server_name=host,
                server_port=port,
                share=False,
                max_file_size=MAX_BYTES,
                enable_monitoring=False,
                state_session_capacity=SESSIONS,
                app_kwargs={"middleware": [Middleware(TrustedHostMiddleware, allowed_hosts=names)]},
                prevent_thread_lock=True,
                quiet=True,
                theme=gradio.themes.Base(**fonts),
            )
            yield address
        finally:
            app.close(verbose=False)
