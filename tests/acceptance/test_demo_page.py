"""The demo as it is started.

One request on this machine, errors in words, and nothing written outside its folder.
"""

import http.client
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_BYTES = 10 * 2**20
"""Of one file; docs/reliability.md states it."""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address of a running demo, its working folder and its temporary folder."""
    home, temporary = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("tmp")
    environment = {
        **os.environ,
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "no_proxy": "127.0.0.1,localhost",  # gradio asks itself whether it is up
    }
    command = [sys.executable, "-m", "litelvlm.analysis", "demo", "--device", "cpu"]
    with subprocess.Popen(
        command,
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        line = running.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), line
        yield line.split()[0].rstrip("/"), home, temporary
        running.terminate()


def exchange(address, method, path, body=b"", **headers):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=120)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def ask(address, *data):
    """One request of the page; the kind of the last event and its data."""
    path, kind = "/gradio_api/call/compare", {"Content-Type": "application/json"}
    number = json.loads(exchange(address, "POST", path, json.dumps({"data": data}), **kind)[1])
    told = exchange(address, "GET", f"{path}/{number['event_id']}")[1].decode()
    kind, found = re.findall(r"event: (\w+)\ndata: (.*)", told)[-1]
    return kind, json.loads(found)


def upload(address, name, content):
    head = f'--part\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + b"\r\n--part--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=part"}
    return exchange(address, "POST", "/gradio_api/upload", body, **kind)


def file_data(path):
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def example(temporary):
    (path,) = temporary.glob("litelvlm-demo-*/example-0.png")
    return file_data(path)


def test_it_answers_and_writes_into_its_own_folder_only(served):
    address, home, temporary = served
    before = sorted(home.rglob("*"))
    kind, (unpruned, pruned, summary) = ask(
        address, example(temporary), "the blue circle", "litelvlm", 48, 0
    )
    assert kind == "complete"
    assert summary.startswith("48 of 144 visual tokens (67% fewer)")
    (folder,) = temporary.glob("litelvlm-demo-*")
    assert all(Path(image["path"]).is_relative_to(folder) for image in (unpruned, pruned))
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "seed", "reason"),
    [
        ("  ", 0, "is empty"),
        ("the circle", None, "the number of tokens and the seed"),
        ("x" * 301, 0, "301 signs; at most 300"),
    ],
)
def test_a_bad_request_is_answered_with_the_reason(served, text, seed, reason):
    address, _, temporary = served
    kind, message = ask(address, example(temporary), text, "litelvlm", 48, seed)
    assert kind == "error"
    assert reason in json.dumps(message)


def test_an_oversized_upload_is_refused_and_not_kept(served):
    address, home, temporary = served
    before = sorted([*home.rglob("*"), *temporary.rglob("*")])
    assert upload(address, "big.png", bytes(MAX_BYTES + 1))[0] == 413
    kept = {path for path in temporary.rglob("*") if path.is_file()} - set(before)
    assert sum(path.stat().st_size for path in kept) == 0
    assert sorted(home.rglob("*")) == [path for path in before if path.is_relative_to(home)]


def test_files_of_the_machine_are_not_served(served):
    address, home, _ = served
    secret = home / "secret.png"
    secret.write_text("private")
    kind, message = ask(address, file_data(secret), "the circle", "litelvlm", 48, 0)
    secret.unlink()
    assert kind == "error"
    assert "private" not in json.dumps(message)


SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.png"])
def test_what_is_no_picture_is_neither_shown_nor_answered(served, name):
    address = served[0]
    (kept,) = json.loads(upload(address, name, SCRIPT)[1])
    _, _, headers = exchange(address, "GET", f"/gradio_api/file={kept}")
    shown = headers["content-disposition"].startswith("inline")
    assert headers["content-type"] == ("image/png" if shown else "application/octet-stream")
    kind, message = ask(address, file_data(kept), "the circle", "litelvlm", 48, 0)
    assert (kind, "alert" in json.dumps(message)) == ("error", False)


def test_a_picture_is_taken_and_comes_back_as_one(served):
    address, _, temporary = served
    (path,) = temporary.glob("litelvlm-demo-*/example-0.png")
    status, text, _ = upload(address, "mine.png", path.read_bytes())
    assert status == 200
    (kept,) = json.loads(text)
    status, content, _ = exchange(address, "GET", f"/gradio_api/file={kept}")
    assert (status, content) == (200, path.read_bytes())


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", ""])
def test_another_host_is_not_answered(served, host):
    assert exchange(served[0], "GET", "/", Host=host)[0] == 400
