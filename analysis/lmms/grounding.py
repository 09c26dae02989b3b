"""Expressions of a data set as documents of lmms-eval, and masks for them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import TypedDict

import torch
from PIL import Image

from litelvlm.analysis.lmms.masks import mask_answer
from litelvlm.arrays import Array
from litelvlm.data.load import load_refer
from litelvlm.data.refer import ReferDataset, ReferSample
from litelvlm.models.base import Grounder, GroundingModel, Request
from litelvlm.names import check_name
from litelvlm.pruning import Pruner

REFER = "LITELVLM_REFER"
"""Environment variable with the folder or hub id of the RefCOCO family."""
PROTOCOLS = ("single", "conversation")
_BATCH = 24


class ExpressionDoc(TypedDict):
    """One expression of one image.

    Attributes:
        index: Place of the image in its split.
        line: Place of the expression among those of the image.
        image_id: Id of the image.
        sent_id: Id of the sentence.
        sentence: The sentence.
    """

    index: int
    line: int
    image_id: int
    sent_id: int
    sentence: str


@lru_cache(maxsize=2)
def open_data(root: str, dataset: str, split: str) -> ReferDataset:
    """One split; opened once.

    Args:
        root: "embedded", or "" for what ``LITELVLM_REFER`` names.
        dataset: Name of the data set; "" where the root holds one only.
        split: Name of the split.

    Raises:
        ValueError: If the environment names no folder, or a name is unknown.
        FileNotFoundError: If files are missing.
    """
    place = root or os.environ.get(REFER, "")
    if not place:
        raise ValueError(
            f"set {REFER} to the folder Refer_Segm or to a hub id of {dataset}; the task "
            "embedded_res needs nothing"
        )
    return load_refer(place, dataset=dataset or None, split=split)


def expression_docs(data: ReferDataset | Sequence[ReferSample]) -> Iterator[ExpressionDoc]:
    """Every expression of a split; one whose target is no object is left out, as in RES."""
    for index, sample in enumerate(data):
        for line, expression in enumerate(sample.expressions):
            if expression.ann_ids != (-1,):
                yield {
                    "index": index,
                    "line": line,
                    "image_id": sample.image_id,
                    "sent_id": expression.sent_id,
                    "sentence": expression.sent,
                }


def target_of(data: ReferDataset, doc: ExpressionDoc) -> Array:
    """Target pixels of an expression [height, width]."""
    sample = data[doc["index"]]
    target: Array = sample.mask(sample.expressions[doc["line"]])
    return target


class Question(TypedDict):
    """One request.

    Attributes:
        source: Where the image id counts, such as a task and its split.
        image_id: Requests about the same image stand together.
        image: The picture.
        sentence: The expression.
    """

    source: str
    image_id: int
    image: Image.Image
    sentence: str


@torch.inference_mode()
def ground_all(
    model: GroundingModel,
    questions: Iterable[Question],
    pruner: Pruner | None,
    budget: int | None,
    protocol: str = "single",
) -> list[str]:
    """An answer with a mask for every request, in their order.

    Args:
        model: The model.
        questions: Requests; neighbours about the same image share its encoding. They are taken
            one after another, so that an iterator need not hold the pictures of all.
        pruner: A method; None keeps all tokens.
        budget: Tokens to keep.
        protocol: "single" gives every expression a conversation of its own; "conversation" puts
            neighbours about the same image into one.

    Raises:
        ValueError: If the protocol is unknown.
    """
    check_name(protocol, PROTOCOLS, "protocol")
    grounder, answers = model.grounder(_BATCH), list[str]()
    for _, several in groupby(questions, lambda one: (one["source"], one["image_id"])):
        answers += _ground_image(model, grounder, list(several), pruner, budget, protocol)
    return answers


def _ground_image(
    model: GroundingModel,
    grounder: Grounder,
    same: Sequence[Question],
    pruner: Pruner | None,
    budget: int | None,
    protocol: str,
) -> list[str]:
    """Answers to the requests about one image."""
    state = model.encode_image(same[0]["image"])
    sentences = [question["sentence"] for question in same]
    groups = [sentences] if protocol == "conversation" else [[one] for one in sentences]
    requests = []
    for group in groups:
        conversation = model.conversation(group, 0, 0)
        if pruner is None or budget is None:
            requests.append(Request(conversation, None))
            continue
        cues = model.cues(state, conversation, key=same[0]["image_id"])
        requests.append(Request(conversation, pruner.select(cues, budget)))
    found: dict[int, Array] = {}
    for batch in grounder(state, requests):
        for row, places in enumerate(batch.places):
            found |= {place: batch.masks[row].cpu().numpy() for place in places}
    return [mask_answer(mask) for place in range(len(groups)) for mask in found[place]]
