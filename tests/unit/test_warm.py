"""Commands that the tests start are as good as a new interpreter."""

import json
import os
import signal
import sys
import time

from tests.warm import ROOT, Command, run_python

STATE = """
import gc, json, os, sys, warnings
left = [m for m, x in sys.modules.items() if "/tests/" in (getattr(x, "__file__", "") or "")
        and "site-packages" not in x.__file__]
print(json.dumps([gc.isenabled(), [f[0] for f in warnings.filters if f[0] == "error"], left,
                  sys.argv, os.getcwd(), dict(os.environ), __name__, sys.stdin.read()]))
"""


def test_it_has_nothing_of_the_tests(tmp_path):
    done = run_python(["-c", STATE, "word"], cwd=tmp_path, env={"ONLY": "this"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        *(True, [], [], ["-c", "word"], str(tmp_path)),
        *({"ONLY": "this"}, "__main__", ""),
    ]


def test_its_end_and_its_messages_are_its_own():
    for code, status, said in (
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('no')", 1, "no\n"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("import os; os.write(2, b'raw'); os._exit(7)", 7, "raw"),
    ):
        done = run_python(["-c", code])
        assert (done.returncode, done.stdout) == (status, "")
        assert said in done.stderr


def test_a_signal_reaches_it_and_is_its_status(tmp_path):
    for number, status in ((signal.SIGINT, 1), (signal.SIGKILL, -signal.SIGKILL)):
        told = tmp_path / f"{number}"
        with told.open("w") as stream:
            waiting = "import time; print('ready', flush=True); time.sleep(60)"
            command = Command([sys.executable, "-c", waiting], stdout=stream)
        while command.poll() is None and not told.read_text():
            time.sleep(0.01)
        os.kill(command.pid, number)
        assert command.wait(60) == status


def test_a_module_of_its_folder_stands_before_those_of_the_tests(tmp_path):
    (tmp_path / "litelvlm").mkdir()
    (tmp_path / "litelvlm" / "__init__.py").write_text("PLACE = 'a copy'\n")
    done = run_python(["-c", "import litelvlm; print(litelvlm.PLACE)"], cwd=tmp_path)
    assert done.stdout == "a copy\n", done.stderr
    done = run_python(["-c", "import litelvlm; print(litelvlm.__file__)"])
    assert done.stdout == f"{ROOT / 'litelvlm' / '__init__.py'}\n"
