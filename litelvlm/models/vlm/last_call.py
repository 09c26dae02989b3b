"""Which call of a pruned model runs, and what the last one kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, get_ident

from litelvlm.models.vlm.layers.drops import LayerDrops
from litelvlm.models.vlm.preparing import PreparedCall


class LastCall:
    """What the last call of a pruned model kept.

    Attributes:
        kept: Its visual tokens; None before any call, after one that read no images, and after one
            that failed.
        layers: What was dropped between the layers in it; None if nothing was.
    """

    def __init__(self) -> None:
        self.kept: PreparedCall | None = None
        self.layers: LayerDrops | None = None
        self._running = Lock()
        self._thread: int | None = None

    @property
    def runs_here(self) -> bool:
        """Whether this thread is inside a call with images: its passes belong to that call."""
        return self._thread == get_ident()

    def tell(self, kept: PreparedCall | None, layers: LayerDrops | None) -> None:
        """Remember a call."""
        self.kept, self.layers = kept, layers

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Forget the call before, and this one if it fails."""
        if self.runs_here:
            yield
            return
        self.tell(None, None)
        try:
            yield
        except BaseException:
            self.tell(None, None)
            raise

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold off other calls with images while one runs.

        Raises:
            ValueError: If one runs.
        """
        if not self._running.acquire(blocking=False):
            raise ValueError(
                "this pruned model is running already, in another thread or because a processor, "
                "criterion or streamer calls it; make one call after the other, or load the model "
                "once more"
            )
        self._thread = get_ident()
        try:
            yield
        finally:
            self._thread = None
            self._running.release()
