"""A digest for weights that have none of their own because they were drawn at random."""

import hashlib

import torch


def fingerprint(model: torch.nn.Module) -> str:
    """Hex digest over names, shapes and the start of every tensor of a model."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        values = tensor.detach().flatten()[:64].float().cpu().numpy().tobytes()
        digest.update(f"{name}{tuple(tensor.shape)}".encode() + values)
    return digest.hexdigest()
