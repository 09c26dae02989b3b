"""Commands in processes of their own that begin with the big libraries already imported.

Importing torch and its companions takes seconds. A server imports them once, and the project; each
command is a fork of it. A command that finds another copy of the project in its folder or on its
path imports that one anew.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

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
"""Imported by the server; none of this project."""
OWN = ("litelvlm.analysis.cli", "litelvlm.analysis.studies.sweep", "litelvlm.models.glamm.build")
"""Modules of this project that the server imports, with all that they import."""

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([*LIBRARIES, *OWN])


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
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kind, *rest = arguments
    home = folder if kind in ("-m", "-c") else str(Path(kind).parent)
    own = environment.get("PYTHONPATH", "").split(os.pathsep)
    first = [Path(place).resolve() for place in (home, *filter(None, own))]
    copied = any((place / "litelvlm").exists() for place in first if place != ROOT)
    ours = ("tests", "litelvlm") if copied else ("tests",)
    for module in [name for name in sys.modules if name.partition(".")[0] in ours]:
        del sys.modules[module]  # the folder may hold a package of this name itself
    others = (place for place in sys.path if place and not place.startswith(str(ROOT / "tests")))
    sys.path[:] = [home, *filter(None, own), *others]
    if kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
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
        self.process = SERVER.Process(target=begin, args=whole)
        self.process.start()
        self.pid = self.process.pid

    def poll(self):
        """Exit status; None while it runs."""
        return self.process.exitcode

    def kill(self):
        """End it at once."""
        self.process.kill()

    def wait(self, timeout=None):
        """Exit status."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.process.exitcode


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
