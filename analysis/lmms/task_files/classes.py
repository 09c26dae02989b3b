"""The class of the tasks in this folder, which name it by this module."""

from litelvlm.analysis.lmms.tasks import LocalTask

__all__ = ["LocalTask"]
