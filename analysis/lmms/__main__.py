"""``python -m litelvlm.analysis.lmms ...`` is ``lmms-eval ...`` with this project's tasks known.

``python -m litelvlm.analysis.lmms path`` prints the folder of the tasks, for ``--include_path``.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

TASK_FILES = Path(__file__).parent / "task_files"
"""Folder of this project's task files."""


def main() -> None:
    """Command line.

    Raises:
        SystemExit: With a message if lmms-eval is not installed.
    """
    if sys.argv[1:] == ["path"]:
        sys.stdout.write(f"{TASK_FILES}\n")
        return
    try:
        dispatch = import_module("lmms_eval.cli.dispatch")
    except ModuleNotFoundError as error:
        raise SystemExit(
            "lmms-eval is not installed here; `make lmms` makes an environment with it, or "
            "run `pip install 'litelvlm[lmms]'`"
        ) from error
    # Nothing here needs the network; whoever wants it says so.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if "--tasks" in sys.argv and "--include_path" not in sys.argv:
        sys.argv += ["--include_path", str(TASK_FILES)]
    dispatch.main()


if __name__ == "__main__":
    main()
