"""Commands in processes of their own that begin with the big libraries already imported.

Importing torch and its companions takes seconds. A fork of the tests' process waits, with them and
the project imported; each command is a fork of it. A command that finds another copy of the project
in its folder or on its path imports that one anew.
"""

import faulthandler
import functools
import gc
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
LIBRARIES = (
    "captum.attr",
    "matplotlib.pyplot",
    "open_clip",
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "scipy.stats",
    "torch",
    "torchvision",
    "transformers.modeling_utils",
    "transformers.models.auto.processing_auto",
    "transformers.models.clip.modeling_clip",
    "transformers.models.llama.modeling_llama",
    "transformers.models.sam.modeling_sam",
    "tyro",
)
"""Imported by the tests' process before it forks the server; none of this project."""
OWN = ("litelvlm.analysis.cli", "litelvlm.analysis.studies.sweep", "litelvlm.models.glamm.build")
"""Modules of this project that the server imports, with all that they import."""


@functools.cache
def server() -> socket.socket:
    """A fork of this process that forks once more for each command; asked through the socket.

    The first call makes it: early, while this process has no threads at work and no tests.
    """
    ours, theirs = socket.socketpair()
    with warnings.catch_warnings():  # as in a new interpreter
        warnings.resetwarnings()
        for kind in (ResourceWarning, ImportWarning, PendingDeprecationWarning, DeprecationWarning):
            warnings.simplefilter("ignore", kind)
        warnings.filterwarnings("default", category=DeprecationWarning, module="__main__")
        for library in LIBRARIES:
            import_module(library)
        if os.fork() == 0:
            try:
                serve(theirs)
            finally:
                os._exit(1)
    theirs.close()
    return ours


def serve(asked: socket.socket) -> None:
    """What the server does: fork for each command, until the tests' process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a keeper
    faulthandler.disable()
    begin_anew()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in map(int, os.listdir("/dev/fd")):  # pipes of the tests' process must end with it
        if stream not in (asked.fileno(), nothing):
            os.dup2(nothing, stream)
    while True:
        word, told, _, _ = socket.recv_fds(asked, 1, 1)
        if not word:
            os._exit(0)
        warm_up()
        if os.fork() == 0:
            asked.close()
            keep(Connection(told[0]))
            os._exit(0)
        os.close(told[0])


def begin_anew() -> None:
    """Forget modules of this repository, and the hooks with which the tests import them.

    When test files are named, their conftest files import the project before the server is forked.
    """
    files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
    ours = (name for name, file in files.items() if file.startswith(f"{ROOT}{os.sep}"))
    packages = {name.partition(".")[0] for name in ours if "site-packages" not in files[name]}
    for name in files:
        if name.partition(".")[0] in packages:
            del sys.modules[name]
    for finder in list(sys.meta_path):
        if type(finder).__module__.startswith(("_pytest.", "jaxtyping.")):
            sys.meta_path.remove(finder)


@functools.cache
def warm_up() -> None:
    """Import the project and read its code, which enters every run's key; once, when needed."""
    for module in OWN:
        import_module(module)
    import_module("litelvlm.analysis.runs.engine").CODE.closure(OWN)
    gc.enable()
    gc.freeze()


def keep(told: Connection) -> None:
    """Read what one command is, start it, tell its process number, and its status at the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    command = multiprocessing.get_context("fork").Process(target=begin, args=told.recv())
    command.start()
    told.send(command.pid)
    command.join()
    told.send(command.exitcode)


def begin(
    arguments: Sequence[str], folder: str, environment: Mapping[str, str], out: str, errors: str
) -> None:
    """What the new process does: become ``python ARGUMENTS`` in a folder and an environment."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for stream, path in ((1, out), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), stream)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.modules["__main__"] = main = ModuleType("__main__")
    kind, *rest = arguments
    home = folder if kind in ("-m", "-c") else str(Path(kind).parent)
    own = environment.get("PYTHONPATH", "").split(os.pathsep)
    first = [Path(place).resolve() for place in (home, *filter(None, own))]
    copied = any((place / "litelvlm").exists() for place in first if place != ROOT)
    for name in list(sys.modules) if copied else ():
        if name.partition(".")[0] == "litelvlm":
            del sys.modules[name]
    others = (place for place in sys.path if place and not place.startswith(str(ROOT / "tests")))
    sys.path[:] = [home, *filter(None, own), *others]
    if kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), vars(main))  # noqa: S102
    else:
        sys.argv = list(arguments)
        runpy.run_path(kind, run_name="__main__")


class Command:
    """A running ``python ARGUMENTS``, with as much of ``subprocess.Popen`` as the tests use."""

    def __init__(self, command, cwd=ROOT, env=None, stdout=None, stderr=None, **_):
        """Start it; the first word is the interpreter and does not count."""
        self.args = command
        out = getattr(stdout, "name", os.devnull)
        errors = out if stderr == subprocess.STDOUT else getattr(stderr, "name", os.devnull)
        whole = (command[1:], str(cwd), dict(os.environ if env is None else env), out, errors)
        self.told, theirs = multiprocessing.Pipe()
        socket.send_fds(server(), [b"."], [theirs.fileno()])
        theirs.close()
        self.told.send(whole)
        self.pid = self.told.recv()
        self.code = None

    def poll(self, timeout=0):
        """Exit status; None while it runs."""
        if self.code is None and self.told.poll(timeout):
            self.code = self.told.recv()
        return self.code

    def kill(self):
        """End it at once."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout=None):
        """Exit status."""
        if self.poll(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.code


def run_python(arguments, cwd=ROOT, env=None, timeout=500):
    """Run ``python ARGUMENTS`` to its end.

    Args:
        arguments: "-m" and a module, "-c" and code, or a file; then what it is given.
        cwd: Folder it runs in.
        env: Its whole environment; this process's if left out.
        timeout: Seconds.

    Returns:
        As ``subprocess.run`` does: ``returncode``, ``stdout`` and ``stderr``, as text.
    """
    command = [sys.executable, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder, "out"), Path(folder, "errors")
        with out.open("w") as stdout, errors.open("w") as stderr:
            code = Command(command, cwd, env, stdout, stderr).wait(timeout)
        return subprocess.CompletedProcess(command, code, out.read_text(), errors.read_text())
