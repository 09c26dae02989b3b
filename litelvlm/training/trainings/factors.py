"""The conditions under which a small CLIP is trained, as one typed record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.names import check_name

ImageSide = Literal["bag", "grid", "pixels"]
Loss = Literal["softmax", "sigmoid"]
Scope = Literal["object", "some", "scene", "place", "long"]
Pooling = Literal["cls", "mean"]
TextPooling = Literal["eos", "words"]
MAX_OBJECTS = 4

_CHOICES = {
    "image": ImageSide,
    "loss": Loss,
    "scope": Scope,
    "pooling": Pooling,
    "text_pooling": TextPooling,
}
_RANGES: dict[str, tuple[float, float]] = {
    "helper": (0, 10),
    "sos_loss": (0, 10),
    "helper_from": (0, 1),
    "uninformative": (0, 0.9),
    "filler": (0, 40),
    "questions": (0.01, 1),
    "clutter": (1, MAX_OBJECTS),
    "categories": (2, len(CATEGORIES)),
    "text_depth": (2, 24),
    "image_depth": (2, 24),
    "width": (16, 1024),
    "registers": (0, 16),
    "rate": (1e-6, 0.1),
    "weight_decay": (0, 1),
    "steps": (1, 10_000_000),
    "batch": (2, 65_536),
    "sharpness": (0.1, 16),
}


@dataclass(frozen=True)
class Factors:
    """Everything that decides the weights of one member, but for its seed.

    Attributes:
        image: What stands on the image side: a "bag" of the scene's objects (an MLP without a
            picture, so that text towers can be studied alone), a "grid" of symbols read by a vision
            transformer, or rendered "pixels" read by one.
        loss: Softmax over the batch in both directions, or a sigmoid for each pair.
        helper: Weight of a linear read-out of each patch's category on the second-last layer.
        uninformative: Share of captions that say nothing about their picture.
        filler: Most words without content that stand around what a caption says.
        scope: What a caption names: one "object", "some" objects, the whole "scene", objects and
            mostly the "place", or the scene in "long" sentences with redundant words.
        questions: Share of the informative captions that are questions of the suite.
        clutter: Most objects in a scene, 1 to 4.
        categories: Number of categories.
        text_depth: Blocks of the text tower.
        image_depth: Blocks of the image tower.
        width: Width of both towers and of the joint space.
        registers: Learned tokens of the image tower that stand for no patch.
        rate: Peak learning rate.
        weight_decay: Of matrices.
        steps: Optimiser steps.
        batch: Scenes a step.
        sharpness: Factor on the text tower's query and key matrices at the start.
        pooling: State that becomes the image embedding: the class token, or the mean of patches.
        text_pooling: State that becomes the text embedding: [EOS], or the mean over words.
        sos_loss: Weight of a loss that gives the text tower a sink: it is 0 where every head of
            every layer lets [EOS] give [SOS] at least 0.68 of its attention.
        helper_from: Share of the steps after which the helper joins.

    Raises:
        ValueError: If a value is outside of its range or table.
    """

    image: ImageSide = "pixels"
    loss: Loss = "softmax"
    helper: float = 0.0
    uninformative: float = 0.0
    filler: int = 0
    scope: Scope = "scene"
    questions: float = 0.3
    clutter: int = MAX_OBJECTS
    categories: int = 64
    text_depth: int = 4
    image_depth: int = 4
    width: int = 128
    registers: int = 0
    rate: float = 1e-3
    weight_decay: float = 0.1
    steps: int = 500
    batch: int = 128
    sharpness: float = 1.0
    pooling: Pooling = "cls"
    text_pooling: TextPooling = "eos"
    sos_loss: float = 0.0
    helper_from: float = 0.0

    def __post_init__(self) -> None:
        check_values(asdict(self))
        if self.image == "bag" and (self.helper or self.registers or self.pooling != "cls"):
            raise ValueError(
                "a bag of objects has no patches; leave helper and registers 0 and pooling 'cls'"
            )


def check_values(values: Mapping[str, str | int | float]) -> None:
    """Refuse a value outside of its table or range.

    Raises:
        ValueError: Naming the factor, its value and what is allowed.
    """
    for name, allowed in _CHOICES.items():
        check_name(str(values[name]), get_args(allowed), name)
    for name, (low, high) in _RANGES.items():
        if not low <= float(values[name]) <= high:
            raise ValueError(
                f"{name} is {values[name]}, allowed are values from {low:g} to {high:g}"
            )
    if int(values["width"]) % 16:
        raise ValueError(f"width is {values['width']}; take a multiple of 16")


@dataclass(frozen=True)
class Member:
    """One training.

    Attributes:
        stage: Part of the design.
        cell: Name of the condition.
        factors: The condition.
        seed: Initial weights, order of scenes and every choice.
    """

    stage: str
    cell: str
    factors: Factors
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.stage}-{self.cell}-s{self.seed}"
