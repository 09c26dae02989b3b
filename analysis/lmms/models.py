"""GLaMM and any vision-language model, pruned or not, as models of lmms-eval."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from PIL import Image
from tqdm.auto import tqdm

from litelvlm.analysis.lmms.generation import check_mask_options, generation_of
from litelvlm.analysis.lmms.grounding import MaskRequest, ground_all
from litelvlm.data.images import to_rgb
from litelvlm.models.families import load_vlm
from litelvlm.models.glamm.build import load_model
from litelvlm.pruning import Pruner, get_pruner
from litelvlm.pruning.budgets import check_budget

Doc = Mapping[str, object]
Docs = Mapping[str, Mapping[str, Sequence[Doc]]]
_REFUSED = (
    "this model answers in one round and gives no likelihoods; choose a task with output_type: "
    "generate_until"
)


class _Request(NamedTuple):
    prompt: str
    doc: Doc
    source: str
    pictures: Callable[[Doc], list[Image.Image]]
    options: Mapping[str, object]

    def image(self) -> Image.Image:
        """The only picture, opened now.

        Raises:
            ValueError: If there is none, or there are several.
        """
        found = self.pictures(self.doc)
        if len(found) != 1:
            raise ValueError(
                f"one image a request is read, and this one of {self.source} has {len(found)}; "
                "choose a task with one image a question"
            )
        return to_rgb(found[0])


def _requests(instances: Iterable[Instance], docs: Docs) -> Iterator[_Request]:
    """Requests one after another, whose pictures are opened when they are asked for."""
    for instance in instances:
        prompt, options, pictures, doc_id, task, split = instance.args
        yield _Request(prompt, docs[task][split][doc_id], f"{task}/{split}", pictures, options)


class _Answering(lmms):
    """What both models refuse: lmms-eval asks every model for three ways of answering."""

    is_simple = True

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Refused: what is scored here is a mask or an answer.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(_REFUSED)

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[str]:
        """Refused: a question is answered in one round.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(_REFUSED)


def method_of(
    pruner: str | None, budget: int | float | None
) -> tuple[Pruner | None, int | float | None]:
    """The method of a label, and its budget.

    Raises:
        ValueError: If one is given without the other, or the label is unknown.
    """
    if (pruner is None) != (budget is None):
        raise ValueError(
            "pruner and budget belong together, for example pruner=litelvlm,budget=48; leave out "
            "both for the unpruned model"
        )
    return (None if pruner is None else get_pruner(pruner)), budget


class LmmsGlamm(_Answering):
    """GLaMM under lmms-eval: every request is an expression and gets one mask.

    Args:
        pretrained: As in ``litelvlm.load_model``.
        pruner: Label of a method; none keeps all tokens.
        budget: Tokens to keep, or their share.
        device: As in ``litelvlm.load_model``.
        dtype: Likewise.
        batch_size: Not used; passes of one image are batched.
    """

    def __init__(
        self,
        pretrained: str = "embedded",
        pruner: str | None = None,
        budget: int | float | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | str = 1,
    ) -> None:
        super().__init__()
        self.pruner, wanted = method_of(pruner, budget)
        self.model = load_model(pretrained, dtype=dtype, device=device or None)
        self.budget = None if wanted is None else check_budget(wanted, self.model.n_tokens)

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """One JSON with a mask per request, in their order.

        Raises:
            ValueError: If a request has no image or several, or asks for sampling.
        """
        questions = self._questions(tqdm(requests, desc="grounding", unit="expression"))
        return ground_all(self.model, questions, self.pruner, self.budget)

    def _questions(self, requests: Iterable[Instance]) -> Iterator[MaskRequest]:
        """Questions one after another; neighbours about the same image share its picture."""
        last: MaskRequest | None = None
        for place, request in enumerate(_requests(requests, self.task_dict)):
            check_mask_options(request.options)
            number = request.doc.get("image_id")
            # A document without a number shares its picture with no other.
            image_id = number if isinstance(number, int) else place
            same = last is not None and (last.source, last.image_id) == (request.source, image_id)
            image = last.image if last is not None and same else request.image()
            last = MaskRequest(request.source, image_id, image, request.prompt)
            yield last


class LmmsVlm(_Answering):
    """Any vision-language model of ``litelvlm.prune`` under lmms-eval, one image a request.

    Args:
        pretrained: As in ``litelvlm.load_vlm``: "vlm:embedded", or a folder or hub id, with or
            without "vlm:".
        pruner: Label of a method; none keeps all tokens.
        budget: Tokens to keep, or their share.
        clip: CLIP whose image tower the model has, for methods that read CLIP's text. The text is
            the document's question, without the prompt around it.
        pad: Pad pictures to squares.
        device: As in ``litelvlm.load_vlm``.
        dtype: Likewise.
        batch_size: Not used.
    """

    def __init__(
        self,
        pretrained: str = "vlm:embedded",
        pruner: str | None = None,
        budget: int | float | None = None,
        clip: str | None = None,
        pad: bool = False,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | str = 1,
    ) -> None:
        super().__init__()
        self.pruner, self.budget = method_of(pruner, budget)
        self.vlm = load_vlm(pretrained, clip=clip, dtype=dtype, device=device or None, pad=pad)

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """One answer per request, in their order.

        Raises:
            ValueError: If a request has no image or several, or asks for sampling.
        """
        answers = []
        asking = _requests(requests, self.task_dict)
        for request in tqdm(asking, total=len(requests), desc="asking", unit="question"):
            asked, wanted = request.doc.get("question"), generation_of(request.options)
            found = self.vlm.answer(
                request.image(),
                request.prompt,
                self.pruner,
                self.budget,
                text=asked if isinstance(asked, str) else None,
                max_new_tokens=wanted.max_new_tokens,
            )
            answers.append(wanted.cut(found.text))
        return answers
