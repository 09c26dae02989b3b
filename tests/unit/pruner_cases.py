"""Cues to run methods on, and what methods before the language model have in common."""

import dataclasses

import torch
from torch.nn.functional import adaptive_avg_pool2d

from litelvlm.pruning import CUES, Cues, Selection, get_pruner, list_pruners
from litelvlm.pruning.vit import VitView
from tests.method_cases import BEFORE, METHODS, parametrised

every_case = parametrised(BEFORE)
# Number types inside the tower are the tower's own.
outside_the_tower = parametrised(
    [case for case in BEFORE if list_pruners()[case[0]].stage != "vit"]
)

EQUIVARIANT = [name for name, case in METHODS.items() if case.equivariant]
MERGING = [name for name, case in METHODS.items() if case.merging]
SCALED = {name: case.scaled for name, case in METHODS.items() if case.scaled}

GRID = (6, 7)
N = 42


def tensors(
    seed: int = 0,
    n_texts: int = 2,
    dtype: torch.dtype = torch.float32,
    grid: tuple[int, int] = GRID,
) -> dict[str, torch.Tensor]:
    """Every cue at random; a third of the cells is covered."""
    made = torch.Generator().manual_seed(seed)
    sizes = {"N": grid[0] * grid[1], "D": 8, "H": 12, "P": 6, "T": n_texts, "E": 4, "d": 64}
    sizes |= {"L": 4, "C": 3}
    found = {
        name: torch.randn([sizes[a] for a in cue.axes], generator=made)
        for name, cue in CUES.items()
    }
    found["cls_attention"] = found["cls_attention"].softmax(0)
    found["coverage"] = (torch.rand(sizes["N"], generator=made) * 3 - 2).clamp(min=0)
    found["colours"] = found["colours"].sigmoid()
    found["box"] = torch.zeros(grid)
    found["box"][1:4, 2:5] = 1.0
    found["box"] = found["box"].flatten()
    return {name: tensor.to(dtype) for name, tensor in found.items()}


class Blocks(VitView):
    """Six blocks that add ``added`` times something to the states; 0 leaves them as they are."""

    n_blocks = 6

    def __init__(
        self, embeds: torch.Tensor, added: float = 0.0, grid: tuple[int, int] = GRID
    ) -> None:
        self.embeds, self.added, self.grid = embeds, added, grid

    def embed(self) -> torch.Tensor:
        return self.embeds

    def embed_at(self, shape: tuple[int, int]) -> torch.Tensor:
        """A patch of the smaller image is the mean of those it covers."""
        patches = self.embeds[1:].T.unflatten(1, self.grid)
        small = adaptive_avg_pool2d(patches, shape).flatten(1).T
        return torch.cat([self.embeds[:1], small])

    def attend(
        self, block: int, states: torch.Tensor, bias: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return states + self.added * ((states @ states.T + bias).softmax(dim=1) @ states), states[
            :, block % 5 :
        ][:, :4]

    def feed(self, block: int, states: torch.Tensor) -> torch.Tensor:
        return states + self.added * states.tanh()


def all_cues(
    seed: int = 0, n_texts: int = 2, key: int = 0, added: float = 0.0, grid: tuple[int, int] = GRID
) -> Cues:
    """Every cue at random, and an image tower."""
    found = tensors(seed, n_texts, grid=grid)
    embeds = torch.cat([found["cls_token"][None], found["patch_tokens"]])
    return Cues(found, grid, key, vit=lambda: Blocks(embeds, added, grid))


def same(a: Selection, b: Selection) -> bool:
    """Equal in every field, bit for bit."""
    for entry in dataclasses.fields(a):
        x, y = getattr(a, entry.name), getattr(b, entry.name)
        if not (
            torch.equal(x, y)
            if isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor)
            else x == y
        ):
            return False
    return True


# Text e1 reads the first coordinate: dots 3 1 -2 4 0 2; cosines 1, 0.20, -1, 0.41, 0, 0.71.
JOINT = {
    "patch_embeds": torch.tensor(
        [[3.0, 0.0], [1.0, 5.0], [-2.0, 0.0], [4.0, 9.0], [0.0, 1.0], [2.0, 2.0]]
    ),
    "text_embeds": torch.tensor([[1.0, 0.0]]),
}


def kept(
    name: str, budget: int, grid: tuple[int, int] = (2, 3), key: int = 0, options=None, **cues
) -> list[int]:
    """Indices chosen from a few given cues."""
    return (
        get_pruner(name, **(options or {})).select(Cues(cues, grid, key), budget).indices.tolist()
    )
