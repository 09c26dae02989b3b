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


def ask(address, *data):
    """One request of the page; the kind of the last event and its data."""
    path = "/gradio_api/call/compare"
    body = json.dumps({"data": data})
    number = json.loads(request(address, "POST", path, body))["event_id"]
    kind, found = re.findall(
        r"event: (\w+)\ndata: (.*)", request(address, "GET", f"{path}/{number}")
    )[-1]
    return kind, json.loads(found)


def request(address, method, path, body=None):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=120)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def example(temporary):
    (path,) = temporary.glob("litelvlm-demo-*/example-0.png")
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


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
    [("  ", 0, "is empty"), ("the circle", None, "the number of tokens and the seed")],
)
def test_a_bad_request_is_answered_with_the_reason(served, text, seed, reason):
    address, _, temporary = served
    kind, message = ask(address, example(temporary), text, "litelvlm", 48, seed)
    assert kind == "error"
    assert reason in json.dumps(message)


def test_an_oversized_upload_is_refused_and_not_kept(served):
    address, home, temporary = served
    before = sorted([*home.rglob("*"), *temporary.rglob("*")])
    head = '--part\r\nContent-Disposition: form-data; name="files"; filename="big.png"\r\n\r\n'
    body = head.encode() + bytes(MAX_BYTES + 1) + b"\r\n--part--\r\n"
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=120)
    try:
        headers = {"Content-Type": "multipart/form-data; boundary=part"}
        connection.request("POST", "/gradio_api/upload", body, headers)
        assert connection.getresponse().status == 413
    finally:
        connection.close()
    assert sorted([*home.rglob("*"), *temporary.rglob("*")]) == before


@pytest.mark.parametrize(
    "named", [{"path": "https://example.org/a.png"}, {"url": "http://127.0.0.1:1/a.png"}]
)
def test_no_picture_is_fetched_from_an_address(served, named):
    address = served[0]
    body = json.dumps({"data": [named, "the blue circle", "litelvlm", 48, 0]})
    answer = request(address, "POST", "/gradio_api/call/compare", body)
    assert answer == "pictures are uploaded; none is fetched from an address\n"


def test_files_of_the_machine_are_not_served(served):
    address, home, _ = served
    secret = home / "secret.png"
    secret.write_text("private")
    kind, message = ask(
        address,
        {"path": str(secret), "meta": {"_type": "gradio.FileData"}},
        "the circle",
        "litelvlm",
        48,
        0,
    )
    secret.unlink()
    assert kind == "error"
    assert "private" not in json.dumps(message)


def exchange(address, method, path, body=b"", **headers):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=120)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def form(name, content):
    head = f'--part\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return head.encode() + content + b"\r\n--part--\r\n"


def upload(address, name, content):
    kind = "multipart/form-data; boundary=part"
    return exchange(
        address, "POST", "/gradio_api/upload", form(name, content), **{"Content-Type": kind}
    )


SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.png"])
def test_what_is_no_picture_is_not_taken_whatever_its_name(served, name):
    address, _, temporary = served
    before = sorted(temporary.rglob("*"))
    status, text, _ = upload(address, name, SCRIPT)
    assert (status, b"only pictures are taken" in text) == (415, True)
    assert sorted(temporary.rglob("*")) == before


def test_a_page_in_the_folder_of_uploads_is_not_served(served):
    address, _, temporary = served
    (folder,) = temporary.glob("litelvlm-demo-*")
    (folder / "page.html").write_bytes(SCRIPT)
    status, text, _ = exchange(address, "GET", f"/gradio_api/file={folder}/page.html")
    (folder / "page.html").unlink()
    assert status in (403, 415)
    assert b"script" not in text


def test_a_picture_is_taken_and_comes_back_as_one(served):
    address, _, temporary = served
    (path,) = temporary.glob("litelvlm-demo-*/example-0.png")
    status, text, _ = upload(address, "mine.png", path.read_bytes())
    assert status == 200
    (kept,) = json.loads(text)
    assert Path(kept).read_bytes() == path.read_bytes()
    status, content, headers = exchange(address, "GET", f"/gradio_api/file={kept}")
    assert (status, content) == (200, path.read_bytes())
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", ""])
def test_another_host_is_not_answered(served, host):
    assert exchange(served[0], "GET", "/", Host=host)[0] == 400


def test_long_texts_and_long_requests_are_refused_by_the_server(served):
    address, _, temporary = served
    kind, message = ask(address, example(temporary), "x" * 301, "litelvlm", 48, 0)
    assert (kind, "301 signs; at most 300" in json.dumps(message)) == ("error", True)
    big = json.dumps({"data": ["x" * MAX_BYTES]}).encode()
    assert exchange(address, "POST", "/gradio_api/call/compare", big)[0] == 413
