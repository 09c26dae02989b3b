"""What a table computes, and the disk that its encoded images take."""

from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.sizes import sizes_for
from litelvlm.analysis.reproduce.targets import get_target
from litelvlm.analysis.reproduce.work import STATE_BYTES, Workload


def work_for(settings: Settings) -> Workload:
    """What the model computes for a table: the published one, or the user's own by its sizes.

    Raises:
        ValueError: As ``sizes_for``.
        FileNotFoundError: As ``sizes_for``.
    """
    return get_target(settings.table).kind.work(settings, sizes_for(settings))


def cached_bytes(settings: Settings) -> int:
    """What the encoded images of a table take on a disk, at most; 0 for a model of the user's own.

    Such a model has another size, which is not known before it is loaded.
    """
    return int(work_for(settings).images * STATE_BYTES) if settings.model is None else 0
