"""Hubs that are silent, slow, or no hubs: an error names the hub, and nothing waits for ever."""

import json
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
from PIL import Image

from litelvlm.analysis.cli import main
from litelvlm.analysis.reproduce.assets import CHECKPOINT
from litelvlm.analysis.reproduce.fetch import fetch
from litelvlm.analysis.reproduce.listing import HubFile, Repository, kept_listing
from litelvlm.clip.load import load_tower
from litelvlm.data.safe import hub_calls
from litelvlm.data.safe.hub_copies import snapshot

COMMIT, NAME = "a" * 40, CHECKPOINT.names[0]
INFO = json.dumps({"id": NAME, "sha": COMMIT}).encode()
SLOWLY = 0.05


class Answers(BaseHTTPRequestHandler):
    """Writes the bytes that stand for a path, whole, slowly or never."""

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        place = next(place for place in self.server.answers if place in self.path)
        head, body, slowly = self.server.answers[place]
        length = b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        head = head and head + length
        pieces = [body[i : i + 1] for i in range(len(body))] if slowly else [body]
        for piece in [head, *(pieces if self.command == "GET" else [])]:
            try:
                self.wfile.write(piece)
            except OSError:
                return
            if slowly and self.server.released.wait(SLOWLY):
                return
        if not head + body:
            self.server.released.wait(30)
        self.close_connection = True

    do_HEAD = do_GET


OK = b"HTTP/1.1 200 OK"


def plain(content, head=OK):
    """An answer at once."""
    return head, content if isinstance(content, bytes) else json.dumps(content).encode(), False


@contextmanager
def hub_of(answers):
    """A server that answers by what a path contains, and its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.answers, server.released = answers, threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def _online(request, monkeypatch, tmp_path):
    """The client may make connections; it waits for a moment where an answer never comes."""
    name = getattr(getattr(request.node, "callspec", None), "id", "")
    hasty = any(word in name for word in ("silent", "slow"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3 if hasty else 9)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def entry(**changes):
    """A list of one file."""
    return plain([{"type": "file", "path": "config.json", "oid": "b" * 40, "size": 3} | changes])


SILENT = (b"", b"", False)
ANYTHING = {
    "silent": (SILENT, "no answer|timed out"),
    "slow content": ((OK, INFO * 20, True), "no answer in"),
    "slow headers": ((b"", OK + b"\r\nX-Long: " + b"a" * 2000, True), "no answer in"),
    "no HTTP": ((b"", b"\0junk\r\n\r\n", False), "illegal status line"),
    "a login page": (plain(b"<html>Please log in</html>"), "it is no JSON"),
    "nothing": (plain(b""), "it is no JSON"),
    "other letters": (plain(b'{"id": "\xff"}'), "it is no JSON"),
    "deep": (plain(b"[" * 200_000), "nested too deeply"),
    "null": (plain(None), "missing or of another type"),
    "a list": (plain([1]), "missing or of another type"),
    "a number": (plain(7), "missing or of another type"),
    "no fields": (plain({}), "missing or of another type"),
    "other types": (plain({"id": 3, "sha": [1], "siblings": 5}), "missing or of another type"),
    "no commit": (plain({"id": NAME}), "commit"),
    "a path as commit": (plain({"id": NAME, "sha": "../../x"}), "commit"),
    "refusal": (plain({}, b"HTTP/1.1 500 No"), "refuses .*500"),
    "too many": (plain({}, b"HTTP/1.1 429 No\r\nRetry-After: 99999"), "refuses .*429"),
}
TREES = {
    "a page": (plain(b"<html>"), "it is no JSON"),
    "null": (plain(None), "missing or of another type"),
    "numbers": (plain([1]), "missing or of another type"),
    "no path": (plain([{"type": "file"}]), "missing or of another type"),
    "no such type": (plain([{"type": "odd"}]), "missing or of another type"),
    "negative": (entry(size=-3), "its file 'config.json': size.*-3"),
    "endless": (entry(size=10**30), "its file 'config.json': size"),
    "words": (entry(size="many"), "its file 'config.json': size.*'many'"),
    "no hash": (entry(oid="zz"), "its file 'config.json': blob"),
    "outside": (entry(path="../x"), "its file '../x': path.*outside its repository"),
    "odd lfs": (entry(lfs={"oid": "q", "size": 3, "pointerSize": 1}), "its file 'config.json'"),
}


ASKED = {
    "listing": lambda path, url: kept_listing(path / "hub.json", [CHECKPOINT], [], url),
    "copy": lambda path, url: snapshot(NAME, "model", ["*"]),
    "tower": lambda path, url: load_tower(NAME),
}


@pytest.mark.usefixtures("_online")
@pytest.mark.parametrize(("answer", "told"), ANYTHING.values(), ids=ANYTHING)
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_a_bad_hub_is_told(answer, told, ask, tmp_path, monkeypatch):
    with hub_of({"/": answer}) as url:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
        begun = time.monotonic()
        with pytest.raises(ConnectionError, match=f"(?s){told}") as hit:
            ask(tmp_path, url)
        assert time.monotonic() - begun < 10
    assert url in str(hit.value)
    assert NAME in str(hit.value)
    assert re.search("again|HF_ENDPOINT", str(hit.value))


@pytest.mark.usefixtures("_online")
@pytest.mark.parametrize(("answer", "told"), TREES.values(), ids=TREES)
def test_a_bad_list_of_files_is_told(answer, told, tmp_path):
    with (
        hub_of({"/tree/": answer, "/": plain(INFO)}) as url,
        pytest.raises(ConnectionError, match=f"(?s){NAME}.*{told}"),
    ):
        kept_listing(tmp_path / "hub.json", [CHECKPOINT], [], url)


def one_file(size):
    """A repository of one file."""
    file = HubFile(path="config.json", size=size, blob="b" * 40)
    made = {"role": "checkpoint", "kind": "model", "name": NAME, "commit": COMMIT}
    return Repository(**made, licence="", terms="", files=(file,))


FACTS = b'\r\nETag: "x"\r\nX-Repo-Commit: ' + COMMIT.encode()


@pytest.mark.usefixtures("_online")
@pytest.mark.parametrize(
    ("answer", "told"),
    {
        "silent": (SILENT, "no answer|timed out"),
        "slow": ((OK + FACTS, b"a" * 600, True), r"bytes came in \d seconds"),
        "short": (plain(b"abc", OK + FACTS), "should be of size 600"),
        "a page": (plain(b"<html>", OK), "config.json"),
    }.values(),
    ids=["silent", "slow", "short", "a page"],
)
def test_a_bad_file_is_told(answer, told, tmp_path):
    with (
        hub_of({"/": answer}) as url,
        pytest.raises(ConnectionError, match=f"(?s)config.json of {NAME}.*{told}") as hit,
    ):
        fetch(one_file(600), tmp_path, url)
    assert url in str(hit.value)


@pytest.mark.usefixtures("_online")
def test_the_session_of_the_client_is_left_as_it_was(monkeypatch):
    before = {kind: [*hooks] for kind, hooks in huggingface_hub.get_session().event_hooks.items()}
    with pytest.raises(ConnectionError), hub_calls.hub_errors("it"):
        raise TimeoutError("slow")
    assert huggingface_hub.get_session().event_hooks == before


@pytest.mark.usefixtures("_online")
@pytest.mark.parametrize(
    "words",
    [
        "reproduce refseg --plan --out out",
        "segment a.png it --model a/b",
        "evaluate --data someone/RefCOCO --limit 1",
    ],
)
def test_every_verb_that_asks_the_hub_ends_with_1(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LITELVLM_CACHE", str(tmp_path / "cache"))
    Image.new("RGB", (8, 8)).save("a.png")
    with hub_of({"/": plain(b"<html>")}) as url:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
        assert main(words.split()) == 1
        said = capsys.readouterr().err
        assert f"{url} answers about" in said.splitlines()[-1]
        assert "defect" not in said
