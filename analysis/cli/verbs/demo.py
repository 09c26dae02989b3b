"""`litelvlm demo`: try methods on your own picture in the browser."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from litelvlm.analysis.cli.options import ModelOptions


@dataclass(frozen=True, kw_only=True)
class Demo(ModelOptions):
    """Serve a page that compares a pruned with an unpruned mask on your own picture.

    Only this machine can reach the page, unless --host opens it. Needs the extra "demo".

    Examples:
      litelvlm demo
      litelvlm demo --model path/to/GLaMM --port 7861
    """

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 opens the page to your network."""
    port: int | None = None
    """Port to listen on (default: the first free one from 7860)."""

    def run(self) -> int:
        """Serve until interrupted.

        Raises:
            ValueError: If there is no such port.
        """
        if self.port is not None and not 1 <= self.port <= 65535:
            raise ValueError(f"--port {self.port} does not exist; give one from 1 to 65535")
        from litelvlm import load_refer
        from litelvlm.analysis.cli.actions.loading import model_of
        from litelvlm.analysis.pages.demo_app import build_app, contained, launch

        model, data = model_of(self), load_refer("embedded", split="val")
        scenes = [(sample.expressions[0].sent, sample.image()) for sample in data[:4]]
        with contained() as folder:
            app = build_app(model, scenes, folder)
            _, address, _ = launch(app, folder, self.host, self.port, block=False)
            sys.stdout.write(f"{address}  (stop with Ctrl-C)\n")
            sys.stdout.flush()
            try:
                app.block_thread()
            finally:
                app.close(verbose=False)
        return 0
