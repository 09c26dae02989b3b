"""The demo's page: gradio around ``litelvlm.analysis.pages.demo``, by default for this machine."""

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from PIL import Image

from litelvlm.analysis.pages.demo import (
    MAX_BYTES,
    MAX_PIXELS,
    MAX_TEXT,
    DemoResult,
    compare,
    read_upload,
    usable_methods,
)
from litelvlm.analysis.pages.demo_guard import Guard
from litelvlm.arrays import Array
from litelvlm.embedded.clip_sizes import has_miniature_sizes
from litelvlm.models.base import GroundingModel

TITLE = "Visual-token pruning in pixel grounding"
KEPT = (60, 240)
"""Every so many seconds, pictures older than so many seconds are deleted."""
MAX_WAITING = 8
"""Requests that wait for their turn; further ones are told to come back."""
MISSING = (
    "the demo needs gradio, which is not installed here; run: pip install 'gradio>=6.31' (in a "
    "checkout, `make env` installs it)"
)
SESSIONS = 64
"""Visitors whose copy of the page is kept in memory; gradio keeps 10,000."""
TIMES = 64
"""Answers whose times gradio keeps; it would keep 10,000 and summarise them after each answer."""
THREAD = "litelvlm-demo"
"""Name of the one thread that computes."""


@runtime_checkable
class App(Protocol):
    """The part of ``gradio.Blocks`` that is used here; gradio is an optional package."""

    def launch(self, **options: object) -> tuple[object, str, str | None]:
        """Serve the page; gives gradio's application, the local and the public address."""

    def block_thread(self) -> None:
        """Wait until the server stops."""

    def close(self, verbose: bool = True) -> None:
        """Stop the server."""


@contextmanager
def contained() -> Iterator[Path]:
    """A temporary folder for everything that gradio writes; nothing is reported to anyone."""
    with tempfile.TemporaryDirectory(prefix="litelvlm-demo-") as folder:
        settings = {
            "GRADIO_TEMP_DIR": folder,
            "MPLCONFIGDIR": folder,
            "GRADIO_ANALYTICS_ENABLED": "False",
            "GRADIO_ANALYTICS_MAX_EVENTS": str(TIMES),
            "HF_HUB_OFFLINE": "1",
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield Path(folder)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def build_app(model: GroundingModel, scenes: list[tuple[str, Image.Image]], folder: Path) -> App:
    """The page as a ``gradio.Blocks``; call it inside ``contained``.

    Args:
        model: Grounding model.
        scenes: Example expressions with their pictures.
        folder: Temporary folder of ``contained``, for the example pictures.

    Raises:
        RuntimeError: If gradio is not installed; the message says how to get it.
    """
    try:
        import gradio
    except ModuleNotFoundError as error:
        raise RuntimeError(MISSING) from error

    # gradio answers in any of its 40 threads, and each thread that computes keeps memory for
    # itself: an arena of malloc and torch's buffers, about 13 MiB with the miniature.
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=THREAD)

    def computed(path: str, text: str, method: str, budget: int, seed: int) -> DemoResult:
        return compare(model, read_upload(path), text, method, budget, seed)

    def answer(
        path: str | None,
        text: str,
        method: str,
        budget: float | None,
        seed: float | None,
    ) -> tuple[UInt8[Array, "h w 3"], UInt8[Array, "h w 3"], str]:
        try:
            if path is None:
                raise ValueError("choose a picture first: upload one, or take an example")
            if budget is None or seed is None:
                raise ValueError(
                    "the number of tokens and the seed must be whole numbers; one of them is empty"
                )
            found = worker.submit(computed, path, text, method, int(budget), int(seed)).result()
        except ValueError as error:
            raise gradio.Error(str(error), print_exception=False) from error
        return found.unpruned, found.pruned, found.summary

    methods = usable_methods()
    # The slider is there before a picture is. Too large a number for a picture is refused.
    most = max(model.view(picture.height, picture.width).n_tokens for _, picture in scenes)
    budgets = {
        "minimum": 1,
        "maximum": most,
        "step": 1,
        "value": max(1, most // 3),
    }
    examples = []
    for number, (text, picture) in enumerate(scenes):
        picture.save(folder / f"example-{number}.png")
        examples.append([str(folder / f"example-{number}.png"), text])
    # The theme's own fonts would be fetched from a network.
    with gradio.Blocks(title=TITLE, analytics_enabled=False, delete_cache=KEPT) as app:
        gradio.Markdown(f"# {TITLE}\n{note(model)}")
        with gradio.Row():
            with gradio.Column():
                picture = gradio.Image(
                    type="filepath", sources=["upload", "clipboard"], label="Picture"
                )
                text = gradio.Textbox(
                    label="Expression", placeholder="the yellow giraffe", max_length=MAX_TEXT
                )
                method = gradio.Dropdown(
                    [(f"{name}: {about}", name) for name, about in methods.items()], label="Method"
                )
                budget = gradio.Slider(label="Visual tokens to keep", **budgets)
                seed = gradio.Number(label="Seed of random methods", value=0, precision=0)
                run = gradio.Button("Compare", variant="primary")
            with gradio.Column():
                pruned = gradio.Image(
                    label="Pruned: dark cells were dropped; CLIP does not see hatched parts",
                    format="png",
                )
                unpruned = gradio.Image(label="Unpruned", format="png")
                summary = gradio.Markdown()
        inputs = [picture, text, method, budget, seed]
        run.click(
            answer, inputs, [unpruned, pruned, summary], api_name="compare", concurrency_limit=1
        )
        gradio.Examples(examples, [picture, text])
    page: App = app.queue(max_size=MAX_WAITING)
    return page


def note(model: GroundingModel) -> str:
    """What readers must know of the model and of their uploads."""
    limits = (
        f"Pictures up to {MAX_BYTES // 2**20} MB and {MAX_PIXELS // 10**6} million pixels. They "
        f"are deleted after {sum(KEPT) // 60} minutes at most, and when the server stops."
    )
    if not has_miniature_sizes(model.clip_tower):
        return limits
    return (
        "This model is a miniature that knows rendered scenes only; photographs are foreign to "
        f"it. {limits}"
    )


def launch(
    app: App, folder: Path, host: str, port: int | None, block: bool = True
) -> tuple[object, str, str | None]:
    """Serve the page behind ``Guard``; files outside the temporary folder are never served.

    Returns:
        gradio's (application, local address, public address).
    """
    import gradio
    from starlette.middleware import Middleware

    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    return app.launch(
        server_name=host,
        server_port=port,
        share=False,
        max_file_size=MAX_BYTES,
        allowed_paths=[str(folder)],
        enable_monitoring=False,
        state_session_capacity=SESSIONS,
        app_kwargs={"middleware": [Middleware(Guard, host=host, max_bytes=MAX_BYTES)]},
        prevent_thread_lock=not block,
        quiet=True,
        theme=gradio.themes.Base(**fonts),
    )
