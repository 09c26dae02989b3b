"""Expressions of a data set as documents of lmms-eval, and masks for them."""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import NamedTuple, cast

import torch
from PIL import Image

from litelvlm.analysis.inputs.samples import target_mask, untargeted
from litelvlm.analysis.lmms.masks import (
    SCORES,
    Pixels,
    count_answer,
    mask_answer,
    res_estimates,
)
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.arrays import Array
from litelvlm.data.load import load_refer
from litelvlm.data.refer import ReferDataset
from litelvlm.models.base import Grounder, GroundingModel, Request
from litelvlm.pruning import Pruner

logger = logging.getLogger(__name__)
REFER = "LITELVLM_REFER"
"""Environment variable with the folder or hub id of the RefCOCO family."""
Doc = Mapping[str, object]
_BATCH = 24


class ExpressionSource:
    """The expressions of one split; one whose target has no pixel is left out, as in RES.

    Args:
        root: "embedded", or "" for what ``LITELVLM_REFER`` names.
        dataset: Name of the data set; "" where the root holds one only.
        split: Name of the split.
    """

    metrics = SCORES

    def __init__(self, root: str = "", dataset: str = "", split: str = "val") -> None:
        self.place = (root, dataset, split)

    @cached_property
    def data(self) -> ReferDataset:
        """The split; opened once.

        Raises:
            ValueError: If the environment names no folder, or a name is unknown.
            FileNotFoundError: If files are missing.
        """
        root, dataset, split = self.place
        place = root or os.environ.get(REFER, "")
        if not place:
            raise ValueError(
                f"set {REFER} to the folder Refer_Segm or to a hub id of {dataset}; the task "
                "embedded_res needs nothing"
            )
        return load_refer(place, dataset=dataset or None, split=split)

    def docs(self) -> list[Doc]:
        """Every expression: places of image and expression, ids and the sentence."""
        found, left_out = list[Doc](), Counter[str]()
        for index, sample in enumerate(self.data):
            for line, expression in enumerate(sample.expressions):
                if reason := untargeted(expression, target_mask(sample, expression)):
                    left_out[reason] += 1
                    continue
                found.append(
                    {
                        "index": index,
                        "line": line,
                        "image_id": sample.image_id,
                        "sent_id": expression.sent_id,
                        "sentence": expression.sent,
                    }
                )
        for reason, count in left_out.items():
            logger.warning("%d expressions are left out: %s", count, reason)
        return found

    def picture(self, doc: Doc) -> Image.Image:
        """The picture of a document."""
        return self.data[int(str(doc["index"]))].image()

    def prompt(self, doc: Doc) -> str:
        """The expression."""
        return str(doc["sentence"])

    def target(self, doc: Doc) -> str:
        """Id of the sentence; its mask is no text."""
        return str(doc["sent_id"])

    def scored(self, doc: Doc, answer: str) -> Pixels:
        """Pixels of one answer."""
        sample = self.data[int(str(doc["index"]))]
        target = sample.mask(sample.expressions[int(str(doc["line"]))])
        return count_answer(answer, target, str(doc["image_id"]))

    def estimates(self, scored: Sequence[Doc]) -> dict[str, Estimate]:
        """Every metric with its interval over images, from what ``scored`` gives."""
        return res_estimates(cast(Sequence[Pixels], scored))


class MaskRequest(NamedTuple):
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
    questions: Iterable[MaskRequest],
    pruner: Pruner | None,
    budget: int | None,
) -> list[str]:
    """An answer with a mask for every request, in their order; each has its own conversation.

    Args:
        model: The model.
        questions: Requests; neighbours about the same image share its encoding. They are taken
            one after another, so that an iterator need not hold the pictures of all.
        pruner: A method; None keeps all tokens.
        budget: Tokens to keep.
    """
    grounder, answers = model.grounder(_BATCH), list[str]()
    for _, same in groupby(questions, lambda one: (one.source, one.image_id)):
        answers += _ground_image(model, grounder, list(same), pruner, budget)
    return answers


def _ground_image(
    model: GroundingModel,
    grounder: Grounder,
    same: Sequence[MaskRequest],
    pruner: Pruner | None,
    budget: int | None,
) -> list[str]:
    """Answers to the requests about one image; its picture is given up behind them."""
    state = model.encode_image(same[0].image)
    requests = []
    for question in same:
        conversation, selection = model.conversation([question.sentence], 0, 0), None
        if pruner is not None and budget is not None:
            cues = model.cues(state, conversation, key=same[0].image_id)
            selection = pruner.select(cues, budget)
        requests.append(Request(conversation, selection))
    found: dict[int, Array] = {}
    for batch in grounder(state, requests):
        for row, places in enumerate(batch.places):
            found |= {place: batch.masks[row, :, 0].cpu().numpy() for place in places}
    return [mask_answer(mask) for place in range(len(same)) for mask in found[place]]
