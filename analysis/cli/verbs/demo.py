"""`litelvlm demo`: try methods on your own picture in the browser."""

from __future__ import annotations

import socket
import sys
import threading
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
            OSError: If nothing can listen at the address.
        """
        if self.port is not None and not 1 <= self.port <= 65535:
            raise ValueError(f"--port {self.port} does not exist; give one from 1 to 65535")
        require_free(self.host, self.port)
        from litelvlm import load_refer
        from litelvlm.analysis.cli.actions.loading import model_of
        from litelvlm.analysis.pages.demo import served

        model, data = model_of(self), load_refer("embedded", split="val")
        scenes = {sample.expressions[0].sent: sample.image() for sample in data[:4]}
        with served(model, scenes, self.host, self.port) as address:
            sys.stdout.write(f"{address}  (stop with Ctrl-C)\n")
            sys.stdout.flush()
            threading.Event().wait()
        return 0


def require_free(host: str, port: int | None) -> None:
    """Refuse an address at which the page cannot listen, before the model is loaded.

    Raises:
        OSError: Naming it.
    """
    try:
        socket.create_server((host, port or 0)).close()
    except (OSError, UnicodeError) as error:
        raise OSError(
            f"nothing can listen at {host!r}, port {port or 'any'} ({error}); choose another "
            "--host or --port"
        ) from error
