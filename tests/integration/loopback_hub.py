"""A hub on the loopback address: the miniature under the published names and in their layout."""

import hashlib
import io
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.torch import load_file

from litelvlm.clip.openai import OPENAI_CLIP
from litelvlm.data.outlines import outline_polygons
from litelvlm.data.worlds.shapes.scenes import sample_scene
from tests.glamm_parts import EMBEDDED
from tests.warm import ROOT

CHECKPOINT = "models/MBZUAI/GLaMM-RefSeg"
CLIP = f"models/{OPENAI_CLIP}"
OLD_DATA, NEW_DATA = "datasets/lmms-lab/RefCOCO", "datasets/lmms-lab-encoder/RefCOCO"
SHARD, TABLE = "pytorch_model-00001-of-00002.bin", "data/testA-00000-of-00001.parquet"
_LARGE = (".bin", ".parquet", ".model", ".safetensors", ".zip")
_LINKED = (".bin", ".parquet", ".safetensors", ".zip")
"""Files that the hub itself does not hand out: it sends clients to its storage."""
_SIGNATURE = "Expires=4102444800&Signature=loopback"
FRESH_CLIENT = """
import sys
CLIENT = ("huggingface_hub", "litelvlm.data.safe.hub_")
for name in [name for name in sys.modules if name.startswith(CLIENT)]:
    del sys.modules[name]
"""
"""First lines of a process that began with libraries: the client reads its settings on import."""
COARSE_FIGURES = """
from litelvlm.figures import files, style
files.KINDS, style._SETTINGS["savefig.dpi"] = ("png", "svg"), 20
"""
"""Next lines of a process whose report is read for its text."""


def make_files(root: Path, n_images: int, data: str = OLD_DATA) -> Path:
    """Write the repositories of a small hub below a folder."""
    model, clip = root / CHECKPOINT, root / CLIP
    model.mkdir(parents=True)
    clip.mkdir(parents=True)
    config = json.loads((EMBEDDED["embedded"] / "config.json").read_text())
    config["mm_vision_tower"] = OPENAI_CLIP
    (model / "config.json").write_text(json.dumps(config))
    for source, target in ((EMBEDDED["embedded"], model), (EMBEDDED["embedded"] / "clip", clip)):
        for path in source.iterdir():
            if path.is_file() and path.suffix in (".json", ".model") and path.name != "config.json":
                shutil.copyfile(path, target / path.name)
    shutil.copyfile(EMBEDDED["embedded"] / "clip" / "config.json", clip / "config.json")
    torch.save(
        load_file(EMBEDDED["embedded"] / "clip" / "model.safetensors"), clip / "pytorch_model.bin"
    )
    tensors = list(load_file(EMBEDDED["embedded"] / "model.safetensors").items())
    halves = [dict(tensors[: len(tensors) // 2]), dict(tensors[len(tensors) // 2 :])]
    names = [SHARD, SHARD.replace("00001-of", "00002-of")]
    for name, half in zip(names, halves, strict=True):
        torch.save(half, model / name)
    weight_map = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    (model / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (model / "README.md").write_text("what the suite does not need\n")
    (root / data / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(list(_rows(n_images))), root / data / TABLE)
    return root


def _rows(n_images: int) -> Iterator[dict[str, object]]:
    """Rows as the mirrors have them: one per reference, the picture in each."""
    for number in range(n_images):
        scene = sample_scene(20_000 + number, "easy")
        buffer = io.BytesIO()
        Image.fromarray(scene.image).save(buffer, "PNG", compress_level=1)
        targets = sorted({expression.target for expression in scene.expressions})
        for target in targets:
            outline = outline_polygons(scene.masks[target])
            if outline is None:  # a hole, which the mirrors' polygons cannot express either
                continue
            name = f"COCO_train2014_{number + 1:012d}_{target}.jpg"
            yield {
                "image": {"bytes": buffer.getvalue(), "path": name},
                "answer": [e.sent for e in scene.expressions if e.target == target],
                "segmentation": outline,
                "file_name": name,
            }


class LoopbackHub:
    """Serves the repositories, and fails in the ways that it is told to.

    As the real hub does, it answers for a large file with a redirect (302) that names size and hash
    of the file. The address is signed and leads to a storage of another origin, which knows nothing
    of the hub's hashes.

    Attributes:
        url: Address, for `HF_ENDPOINT`.
        storage: Address of the storage.
        asked: Repository and path, and first byte asked for, of every download.
        redirected: Method, and repository and path, of every request that was sent to the storage.
        hold_at: Bytes of a file after which the connection stays silent, by file name.
        cut_at: Bytes of a file after which the connection is closed, once each, by file name.
        spoiled: Names of files whose bytes are not those that the listing promises.
        leave_at: Bytes of a file after which the hub cannot be reached any more, by file name.
        away: Whether every connection is closed without an answer.
        moved: Whether every repository has a newer commit than at first.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[tuple[str, int]] = []
        self.redirected: list[tuple[str, str]] = []
        self.hold_at: dict[str, int] = {}
        self.cut_at: dict[str, int] = {}
        self.spoiled: set[str] = set()
        self.leave_at: dict[str, int] = {}
        self.away = self.moved = False
        self.released = threading.Event()
        hub = self

        class Handler(_Handler):
            served = hub

        class Storage(_Storage):
            served = hub

        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in (Handler, Storage)]
        self.url, self.storage = (f"http://127.0.0.1:{one.server_port}" for one in self.servers)


def client_environment(hub: LoopbackHub, folder: Path) -> dict[str, str]:
    """Variables of a process that asks a hub and keeps what it fetches in a folder."""
    return os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(folder / "home"),
        "LITELVLM_CACHE": str(folder / "cache"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }


@contextmanager
def serving(root: Path) -> Iterator[LoopbackHub]:
    """Serve a folder of repositories while the block runs."""
    hub = LoopbackHub(root)
    threads = [
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        for server in hub.servers
    ]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        for server, thread in zip(hub.servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


def commit_of(repository: str) -> str:
    """A made-up commit of a repository."""
    return hashlib.sha1(repository.encode(), usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    served: LoopbackHub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        if self.served.away:
            self.close_connection = True
            return
        parts = [part for part in unquote(urlsplit(self.path).path).split("/") if part]
        if parts[0] == "api":
            self._api(parts[1:])
        else:
            kind = parts if parts[0] == "datasets" else ["models", *parts]
            repository, name = "/".join(kind[:3]), "/".join(kind[5:])
            if name.endswith(_LINKED):
                self._redirect(repository, name)
            else:
                self._file(repository, name, body)

    def _api(self, parts: list[str]) -> None:
        repository = "/".join(parts[:3])
        folder = self.served.root / repository
        if not folder.is_dir():
            self._json({"error": "not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif parts[3:4] == ["tree"]:
            self._json([_entry(folder, path) for path in sorted(folder.rglob("*"))])
        else:
            card = {"license": "apache-2.0"} if parts[0] == "models" else {}
            name = "/".join(parts[1:3])
            now = commit_of(f"{repository} later" if self.served.moved else repository)
            sha = parts[4] if parts[3:4] == ["revision"] else now
            self._json({"id": name, "sha": sha, "cardData": card})

    def _json(self, found: object, code: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(found).encode()
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _names(self, repository: str, sha256: str) -> dict[str, str]:
        """Headers by which a file is known."""
        return {"ETag": f'"{sha256}"', "X-Repo-Commit": commit_of(repository)}

    def _redirect(self, repository: str, name: str) -> None:
        content = (self.served.root / repository / name).read_bytes()
        self.served.redirected.append((self.command, f"{repository}/{name}"))
        self.send_response(302)
        where = f"{self.served.storage}/cdn/{quote(repository)}/{quote(name)}?{_SIGNATURE}"
        self.send_header("Location", where)
        self.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("X-Repo-Commit", commit_of(repository))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, repository: str, name: str, body: bool) -> None:
        hub, path = self.served, self.served.root / repository / name
        content = path.read_bytes()
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        etag = hashlib.sha256(content).hexdigest()
        if path.name in hub.spoiled:
            content = bytes([content[0] ^ 1]) + content[1:]
        self.send_response(206 if first else 200)
        for header in self._names(repository, etag).items():
            self.send_header(*header)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if not body:
            return
        hub.asked.append((f"{repository}/{name}", first))
        cut, hold = hub.cut_at.pop(path.name, None), hub.hold_at.pop(path.name, None)
        leave = hub.leave_at.pop(path.name, None)
        stop = next((place for place in (cut, hold, leave) if place is not None), None)
        self.wfile.write(content[first:stop])
        self.wfile.flush()
        hub.away |= leave is not None
        if hold is not None:
            hub.released.wait(60)


class _Storage(_Handler):
    """Hands out what it is asked for with a signed address, and nothing else."""

    def _answer(self, body: bool) -> None:
        if self.served.away:
            self.close_connection = True
            return
        address = urlsplit(self.path)
        parts = [part for part in unquote(address.path).split("/") if part]
        if parts[0] != "cdn" or address.query != _SIGNATURE:
            self._json({"error": "the address is not signed"}, 403)
        else:
            self._file("/".join(parts[1:4]), "/".join(parts[4:]), body)

    def _names(self, repository: str, sha256: str) -> dict[str, str]:
        """A storage names its objects in its own way."""
        return {"ETag": f'"{sha256[::-1][:32]}"'}


def _entry(folder: Path, path: Path) -> dict[str, object]:
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
    content = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    entry: dict[str, object] = {"type": "file", "path": name, "oid": blob, "size": len(content)}
    if path.suffix in _LARGE:
        sha256 = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
    return entry
