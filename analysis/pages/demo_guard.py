"""What the demo's server refuses before any of its own code sees it."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email import message_from_bytes
from io import BytesIO
from typing import Final, cast

from PIL import Image, UnidentifiedImageError

# The server's interface (ASGI): what a request is, and how its parts come and go.
Scope = Mapping[str, object]
Message = Mapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
SHOWN: Final = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif")
"""Kinds of files that are served from the folder of uploads and answers."""
SCHEME: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")
"""How an address begins."""
EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


class Guard:
    """Checks the Host header, the size of requests, uploads, and the kinds of files served.

    A page of another site cannot reach the server under a name of its own (DNS rebinding), and an
    uploaded page or drawing with a script never comes back from this server's address.

    Args:
        app: The server behind.
        host: Address that the server listens on; on all addresses every Host is answered.
        max_bytes: Largest picture; other requests may have a hundredth of it.
    """

    def __init__(self, app: Application, host: str, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes
        self.hosts = None if host in EVERYWHERE else {"127.0.0.1", "localhost", "::1", host}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, path = headers_of(scope), str(scope["path"])
        if self.hosts is not None and host_of(headers.get("host", "")) not in self.hosts:
            await refuse(400, "this Host is not answered", send)
            return
        upload = scope["method"] == "POST" and path.rstrip("/").endswith("/upload")
        limit = self.max_bytes + 2**16 if upload else self.max_bytes // 100
        try:
            body = await whole_body(receive, limit) if scope["method"] == "POST" else b""
        except ValueError:
            await refuse(413, f"at most {limit} bytes are taken", send)
            return
        if upload:
            files = files_of(headers.get("content-type", ""), body)
            if any(len(file) > self.max_bytes for file in files):
                await refuse(413, f"at most {self.max_bytes} bytes are taken", send)
                return
            if not files or not all(map(is_picture, files)):
                await refuse(415, f"only pictures are taken: {', '.join(FORMATS)}", send)
                return
        if scope["method"] == "POST" and not upload and names_address(body):
            await refuse(400, "pictures are uploaded; none is fetched from an address", send)
            return
        source = replay(body, receive) if scope["method"] == "POST" else receive
        await self.app(scope, source, watched(path, send))


def headers_of(message: Mapping[str, object]) -> dict[str, str]:
    """Headers of a request or an answer by their names in small letters."""
    pairs = cast(Sequence[tuple[bytes, bytes]], message.get("headers", ()))
    return {name.decode("latin1").lower(): value.decode("latin1") for name, value in pairs}


def names_address(body: bytes) -> bool:
    """Whether a JSON body names a file by an address, which the server behind would fetch.

    Example:
        >>> names_address(b'{"data": [{"path": "https://a.b/c.png"}]}')
        True
        >>> names_address(b'{"data": [{"path": "/tmp/a.png"}, "http://a.b in a text"]}')
        False
    """
    try:
        waiting = [json.loads(body)]
    except RecursionError:
        return True
    except ValueError:  # not for the page's functions
        return False
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            named = value.get("path") or value.get("url")  # the page sends its own url too
            if isinstance(named, str) and SCHEME.match(named):
                return True
            waiting += value.values()
    return False


def host_of(header: str) -> str:
    """The name in a Host header, without the port.

    Example:
        >>> host_of("127.0.0.1:7860"), host_of("[::1]:7860"), host_of("localhost")
        ('127.0.0.1', '::1', 'localhost')
    """
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


async def refuse(status: int, text: str, send: Send) -> None:
    """Answer with a status and one line."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})


async def whole_body(receive: Receive, limit: int) -> bytes:
    """Read a request's body.

    Raises:
        ValueError: If it is longer than ``limit`` bytes; the rest is not read.
    """
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        parts.append(cast(bytes, message.get("body", b"")))
        length += len(parts[-1])
        if length > limit:
            raise ValueError("the body is too long")
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """A source that gives the body that was read, then what comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def source() -> Message:
        return waiting.pop() if waiting else await receive()

    return source


def files_of(content_type: str, body: bytes) -> list[bytes]:
    """Contents of the files of a form; none if it cannot be read as one."""
    form = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode("latin1") + body)
    parts = form.get_payload() if form.is_multipart() else []
    files = [part for part in parts if not isinstance(part, str) and part.get_filename()]
    contents = [part.get_payload(decode=True) for part in files]
    return [content if isinstance(content, bytes) else b"" for content in contents]


def is_picture(content: bytes) -> bool:
    """Whether bytes begin like a picture of ``FORMATS``; the pixels are not decoded."""
    try:
        with Image.open(BytesIO(content), formats=FORMATS):
            return True
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return False


def watched(path: str, send: Send) -> Send:
    """Send answers on; a file that is no picture is replaced by a refusal."""
    refused = False

    async def sender(message: Message) -> None:
        nonlocal refused
        if message["type"] == "http.response.start":
            kind = headers_of(message).get("content-type", "").partition(";")[0]
            refused = "/file=" in path and message["status"] == 200 and kind not in SHOWN
            if refused:
                await refuse(415, "only pictures are served", send)
                return
            given = cast(Sequence[tuple[bytes, bytes]], message.get("headers", ()))
            message = {**message, "headers": [*given, (b"x-content-type-options", b"nosniff")]}
        if not refused:
            await send(message)

    return sender
