"""Settings of every test tier.

No downloads, no windows, no progress bars, nothing left in the home folder.
"""

import atexit
import gc
import os
import shutil
import tempfile

from hypothesis import settings

from tests.warm import server

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("OMP_NUM_THREADS", "2")
if "LITELVLM_CACHE" not in os.environ:
    os.environ["LITELVLM_CACHE"] = tempfile.mkdtemp(prefix="litelvlm-test-")
    atexit.register(shutil.rmtree, os.environ["LITELVLM_CACHE"], ignore_errors=True)

gc.disable()  # until all tests are collected: nothing of that is garbage

# The same cases in every run; `--hypothesis-profile default` draws others.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")


def pytest_configure(config):
    """Import the libraries and fork the server, unless the tests run in other processes.

    Where it can, it comes before the project: libraries that a hooked module imports are compiled
    again from source.
    """
    if not config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        server()


def pytest_collection_finish():
    """Leave modules and collected tests out of each search for garbage, which takes seconds."""
    gc.collect()
    gc.freeze()
    gc.enable()
    atexit.register(gc.unfreeze)  # the interpreter clears everything when it ends
