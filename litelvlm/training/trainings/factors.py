"""The conditions under which a small CLIP is trained, as one typed record."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from litelvlm.data.worlds.pictograms.categories import CATEGORIES

ImageSide = Literal["bag", "grid", "pixels"]
Loss = Literal["softmax", "sigmoid"]
Scope = Literal["object", "some", "scene", "place", "long"]
Pooling = Literal["cls", "mean"]
TextPooling = Literal["eos", "words"]
MAX_OBJECTS = 4
Weight = Annotated[float, Field(ge=0, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]
Depth = Annotated[int, Field(ge=2, le=24)]


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
    helper: Weight = 0.0
    uninformative: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    filler: Annotated[int, Field(ge=0, le=40)] = 0
    scope: Scope = "scene"
    questions: Annotated[float, Field(ge=0.01, le=1)] = 0.3
    clutter: Annotated[int, Field(ge=1, le=MAX_OBJECTS)] = MAX_OBJECTS
    categories: Annotated[int, Field(ge=2, le=len(CATEGORIES))] = 64
    text_depth: Depth = 4
    image_depth: Depth = 4
    width: Annotated[int, Field(ge=16, le=1024, multiple_of=16)] = 128
    registers: Annotated[int, Field(ge=0, le=16)] = 0
    rate: Annotated[float, Field(ge=1e-6, le=0.1)] = 1e-3
    weight_decay: Share = 0.1
    steps: Annotated[int, Field(ge=1)] = 500
    batch: Annotated[int, Field(ge=2)] = 128
    sharpness: Annotated[float, Field(ge=0.1, le=16)] = 1.0
    pooling: Pooling = "cls"
    text_pooling: TextPooling = "eos"
    sos_loss: Weight = 0.0
    helper_from: Share = 0.0

    def __post_init__(self) -> None:
        if self.image == "bag" and (self.helper or self.registers or self.pooling != "cls"):
            raise ValueError(
                "a bag of objects has no patches; leave helper and registers 0 and pooling 'cls'"
            )


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
