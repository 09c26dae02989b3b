"""A headless Chromium driven through two pipes.

It speaks what the page tests need of the DevTools protocol, and no more.
"""

import json
import os
import select
import shutil
import subprocess
import tempfile
import time

TIMEOUT = 60.0
FLAGS = (
    "--headless",
    "--no-sandbox",  # a container's root user has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)


def find_chromium():
    """Path of the browser, installed from Debian's archive if it is missing.

    Raises:
        RuntimeError: If it is missing and cannot be installed, with the reason.
    """
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next(filter(None, map(shutil.which, names)), None)
    if found:
        return found
    said = []
    for command in (
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", "chromium"],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
            said.append(f"{' '.join(command)}: exit {done.returncode} {done.stderr.strip()[-300:]}")
        except (OSError, subprocess.TimeoutExpired) as error:
            said.append(f"{' '.join(command)}: {error}")
    found = shutil.which("chromium")
    if not found:
        raise RuntimeError(
            "the page tests need chromium and could not install it; " + "; ".join(said)
        )
    return found


class Chromium:
    """One browser with one open page at a time.

    A context manager that leaves no process and no profile behind.
    """

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="litelvlm-chromium-")
        theirs_in, self.write_end = os.pipe()
        self.read_end, theirs_out = os.pipe()
        # The browser reads commands from descriptor 3 and writes answers to 4.
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        command = [find_chromium(), *FLAGS, f"--user-data-dir={self.profile}", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.buffer, self.events, self.number, self.session = b"", [], 0, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close", page=False)
        except (RuntimeError, OSError):
            self.process.kill()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.write_end)
        os.close(self.read_end)
        shutil.rmtree(self.profile, ignore_errors=True)

    def receive(self, until):
        """The next message.

        Raises:
            RuntimeError: If the browser is silent until then, or gone.
        """
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_end], [], [], max(0.0, until - time.monotonic()))
            chunk = os.read(self.read_end, 1 << 20) if ready else b""
            if not chunk:
                raise RuntimeError("chromium gave no answer" if not ready else "chromium has ended")
            self.buffer += chunk
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, page=True, **parameters):
        """Send a command and wait for its result; events on the way are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if page:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + TIMEOUT
        while True:
            answer = self.receive(until)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, path, width=1280, height=900, dark=False, phone=False):
        """Open a file in a fresh page of this size and wait until it is loaded and drawn."""
        self.events.clear()
        target = self.call("Target.createTarget", page=False, url="about:blank")["targetId"]
        self.session = self.call(
            "Target.attachToTarget", page=False, targetId=target, flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait("location.protocol === 'file:' && document.readyState === 'complete'")
        self.frame()

    def js(self, expression):
        """Value of an expression in the page.

        Raises:
            RuntimeError: If it throws.
        """
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression):
        """Wait until an expression holds.

        Raises:
            RuntimeError: If it does not within the time.
        """
        until = time.monotonic() + TIMEOUT
        while not self.js(expression):
            if time.monotonic() > until:
                raise RuntimeError(f"the page never came to: {expression}")
            time.sleep(0.05)

    def frame(self):
        """Wait until the page has been drawn again."""
        self.js("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def point(self, selector, across=0.5, down=0.5, click=False):
        """Move the mouse over an element, at shares of its width and height; and click there."""
        self.js(
            f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})"
        )
        x, y = self.js(
            f"(r => [r.left + r.width * {across}, r.top + r.height * {down}])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        if click:
            for kind in ("mousePressed", "mouseReleased"):
                self.call(
                    "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
                )
        self.frame()

    def press(self, key, text=None):
        """Press and release a key."""
        typed = {"text": text} if text else {}
        code = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}.get(key, 0)
        self.call(
            "Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **typed
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)
        self.frame()

    @property
    def complaints(self):
        """Errors and warnings of the page since it was opened."""
        self.frame()
        found = []
        for event in self.events:
            method, parameters = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(parameters["exceptionDetails"]["text"])
            elif method == "Runtime.consoleAPICalled" and parameters["type"] in (
                "error",
                "warning",
                "assert",
            ):
                found.append(str(parameters["args"]))
            elif method == "Log.entryAdded" and parameters["entry"]["level"] in (
                "error",
                "warning",
            ):
                found.append(parameters["entry"]["text"])
        return found

    @property
    def requests(self):
        """Addresses the page asked for since it was opened, besides itself and what it carries."""
        self.frame()
        urls = [
            e["params"]["request"]["url"]
            for e in self.events
            if e.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith(("file:", "data:"))]
