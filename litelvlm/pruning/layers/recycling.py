"""Recycling: the best of the dropped tokens, clustered around their density peaks and averaged."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.ranking import highest


def candidate_count(n_dropped: int) -> int:
    """Dropped tokens that are recycled: 30 %, rounded down, and one more."""
    return n_dropped * 3 // 10 + 1 if n_dropped else 0


def recycled_count(n_dropped: int) -> int:
    """Tokens they are averaged to: a tenth, rounded down, and one more.

    Example:
        >>> recycled_count(576 - 300), recycled_count(0)
        (9, 0)
    """
    return candidate_count(n_dropped) // 10 + 1 if n_dropped else 0


def density_peaks(
    points: Float[Tensor, "m d"], k: int
) -> tuple[Float[Tensor, "k m"], Int[Tensor, "k"]]:
    """Cluster points around k density peaks.

    The density of a point is ``exp(-mean of squared distances to its k nearest points, itself
    included)``, distances divided by sqrt(d). Peaks are the k points with the largest density times
    distance to the nearest denser point; every other point joins the nearest peak. Of equally dense
    points the earlier one counts as denser, where the released code adds random noise. Cost: O(m^2
    d).

    Args:
        points: States.
        k: Clusters, at most m.

    Returns:
        Weights that average each cluster, rows summing to 1, and the index of each peak; highest
        peak first.

    Source: SparseVLM, official code, after density peaks clustering with nearest neighbours.
    """
    points = points.float()
    # The fast form subtracts squared norms, and equal points would lie a little apart.
    distances = (
        torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
        / points.shape[1] ** 0.5
    )
    density = torch.exp(-(distances.sort(dim=1).values[:, :k] ** 2).mean(dim=1))
    index = torch.arange(len(points), device=points.device)
    earlier = (density == density[:, None]) & (index < index[:, None])
    denser = (density > density[:, None]) | earlier
    to_denser = torch.where(denser, distances, distances.max()).amin(dim=1)
    peaks = highest(density * to_denser, k)
    cluster = distances[:, peaks].argmin(dim=1)
    cluster[peaks] = index[:k]
    members = torch.nn.functional.one_hot(cluster, k).float().T
    return members / members.sum(dim=1, keepdim=True), peaks
