"""Settings under which the same run gives the same rows, made in one place and recorded."""

import os
import random

import numpy as np
import torch

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def make_deterministic(seed: int = 0) -> dict[str, str]:
    """Seed all generators and allow deterministic kernels only; call before the first use of CUDA.

    Returns:
        The settings as they are recorded, see ``determinism_flags``.

    Raises:
        RuntimeError: If CUDA is in use already and was started without a workspace setting.
    """
    if torch.cuda.is_initialized() and _WORKSPACE not in os.environ:
        raise RuntimeError(
            f"CUDA was started without {_WORKSPACE}, so its matrix products may vary; "
            f"set {_WORKSPACE}=:4096:8 before starting Python, or call make_deterministic "
            "before loading the model"
        )
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries draw from the global generator
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return determinism_flags()


def determinism_flags() -> dict[str, str]:
    """The settings now in force."""
    return {
        "deterministic_algorithms": str(torch.are_deterministic_algorithms_enabled()),
        "cudnn_benchmark": str(torch.backends.cudnn.benchmark),
        "matmul_tf32": str(torch.backends.cuda.matmul.allow_tf32),
        "cublas_workspace": os.environ.get(_WORKSPACE, "unset"),
    }
