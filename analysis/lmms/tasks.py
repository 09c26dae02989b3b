"""Tasks of lmms-eval: referring segmentation, and embedded questions."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar, cast

from datasets import Dataset, DatasetDict
from lmms_eval.api.task import ConfigurableTask
from PIL import Image

from litelvlm.analysis.lmms import answers, grounding, masks
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.data.refer import ReferDataset
from litelvlm.data.understanding.question import QuestionSet
from litelvlm.data.understanding.tasks import TASKS

Doc = Mapping[str, object]
ENDS = ("value", "low", "high")
_SPLIT = "test"


def metric_list(
    names: Sequence[str], aggregate: Callable[[Sequence[object], str, str], float]
) -> list[dict[str, object]]:
    """Every metric, followed by the ends of its interval over images.

    Args:
        names: Metrics.
        aggregate: From results, a metric and one of ``ENDS`` to the number.
    """
    return [
        {
            "metric": name if end == "value" else f"{name}_{end}",
            "aggregation": partial(_aggregated, aggregate, name, end),
            "higher_is_better": name not in answers.LOST,
        }
        for name in names
        for end in ENDS
    ]


def _aggregated(
    aggregate: Callable[[Sequence[object], str, str], float],
    name: str,
    end: str,
    results: Sequence[object],
) -> float:
    return aggregate(results, name, end)


def _index(doc: Doc) -> int:
    return int(str(doc["index"]))


def _end(estimate: Estimate, end: str) -> float:
    return float(getattr(estimate, end))


class _LocalTask(ConfigurableTask, ABC):
    """A task whose documents are made here and whose pictures are opened when asked for."""

    NAME: ClassVar[str] = ""

    def __init__(self, config: Mapping[str, object] | None = None) -> None:
        super().__init__(
            config={
                "task": self.NAME,
                "test_split": _SPLIT,
                "output_type": "generate_until",
                "doc_to_visual": self.pictures,
                "doc_to_text": self.prompt,
                "doc_to_target": self.target,
                "process_results": self.scored,
                "metric_list": metric_list(self.metrics(), self.aggregate),
                "generation_kwargs": {"max_new_tokens": 16, "do_sample": False},
                "metadata": {"version": 1.0},
            }
        )

    def download(self, dataset_kwargs: Mapping[str, object] | None = None) -> None:
        """Make the documents; nothing is fetched."""
        self.dataset = DatasetDict({_SPLIT: Dataset.from_list([dict(d) for d in self.docs()])})
        self.dataset_no_image = self.dataset

    @abstractmethod
    def docs(self) -> Sequence[Doc]:
        """The documents of the split."""

    @abstractmethod
    def metrics(self) -> Sequence[str]:
        """Names of the metrics."""

    @abstractmethod
    def pictures(self, doc: Doc) -> list[Image.Image]:
        """Pictures of a document."""

    @abstractmethod
    def prompt(self, doc: Doc) -> str:
        """What the model is asked."""

    @abstractmethod
    def target(self, doc: Doc) -> str:
        """The true answer, as text."""

    @abstractmethod
    def scored(self, doc: Doc, results: Sequence[str]) -> dict[str, object]:
        """What each metric is made of, of one document."""

    @abstractmethod
    def aggregate(self, results: Sequence[object], name: str, end: str) -> float:
        """A metric over all documents, or one end of its interval."""


class _Res(_LocalTask):
    """Referring segmentation of one split: cIoU, gIoU and P@t with intervals over images."""

    ROOT: ClassVar[str] = ""
    DATASET: ClassVar[str] = ""
    SPLIT: ClassVar[str] = "val"

    @property
    def data(self) -> ReferDataset:
        """The split."""
        return grounding.open_data(self.ROOT, self.DATASET, self.SPLIT)

    def docs(self) -> Sequence[Doc]:
        return list(grounding.expression_docs(self.data))

    def metrics(self) -> Sequence[str]:
        return ("ciou", "giou", "p50", "p60", "p70", "p80", "p90", "unreadable")

    def pictures(self, doc: Doc) -> list[Image.Image]:
        return [self.data[_index(doc)].image()]

    def prompt(self, doc: Doc) -> str:
        return str(doc["sentence"])

    def target(self, doc: Doc) -> str:
        return str(doc["sent_id"])

    def scored(self, doc: Doc, results: Sequence[str]) -> dict[str, object]:
        target = grounding.target_of(self.data, cast(grounding.ExpressionDoc, doc))
        pixels = masks.count_answer(results[0], target, str(doc["image_id"]))
        found: dict[str, object] = dict.fromkeys(self._metric_fn_list, pixels)
        return found | {"pixels": pixels}

    def aggregate(self, results: Sequence[object], name: str, end: str) -> float:
        pixels = cast(Sequence[masks.Pixels], results)
        return _end(masks.res_estimates(pixels)[name], end)


class _Embedded(_LocalTask):
    """Embedded questions of one task of ``litelvlm evaluate --task``."""

    TASK: ClassVar[str] = ""
    METRICS: ClassVar[tuple[str, ...]] = ("accuracy",)

    @property
    def questions(self) -> QuestionSet:
        """All questions."""
        return answers.open_questions(self.TASK)

    def docs(self) -> Sequence[Doc]:
        return list(answers.question_docs(self.questions))

    def metrics(self) -> Sequence[str]:
        return (*self.METRICS, *answers.LOST)

    def pictures(self, doc: Doc) -> list[Image.Image]:
        return [self.questions.questions[_index(doc)].open()]

    def prompt(self, doc: Doc) -> str:
        return TASKS[self.TASK].prompt(self.questions.questions[_index(doc)])

    def target(self, doc: Doc) -> str:
        return str(doc["answer"])

    def scored(self, doc: Doc, results: Sequence[str]) -> dict[str, object]:
        row = answers.answer_row(self.TASK, self.questions.questions[_index(doc)], results[0])
        found: dict[str, object] = dict.fromkeys(self._metric_fn_list, row)
        return found | {"row": row}

    def aggregate(self, results: Sequence[object], name: str, end: str) -> float:
        rows = cast(Sequence[answers.AnswerRow], results)
        return _end(answers.answer_estimates(self.TASK, rows)[name], end)


class EmbeddedRes(_Res):
    """The embedded scenes; needs no download."""

    NAME, ROOT = "embedded_res", "embedded"


class EmbeddedGqa(_Embedded):
    """Embedded questions in GQA's layout."""

    NAME, TASK = "embedded_gqa", "gqa"


class EmbeddedPope(_Embedded):
    """Embedded questions in POPE's layout."""

    NAME, TASK = "embedded_pope", "pope"
    METRICS = ("f1", "accuracy", "precision", "recall", "yes_ratio")


class EmbeddedVqa(_Embedded):
    """Embedded questions in VQA v2's layout."""

    NAME, TASK = "embedded_vqav2", "vqav2"


def _res(name: str, dataset: str, split: str) -> type[_Res]:
    return type(name, (_Res,), {"NAME": name, "DATASET": dataset, "SPLIT": split})


RefcocoVal = _res("refcoco_res_val", "refcoco", "val")
RefcocoTestA = _res("refcoco_res_testA", "refcoco", "testA")
RefcocoTestB = _res("refcoco_res_testB", "refcoco", "testB")
RefcocoPlusVal = _res("refcocoplus_res_val", "refcoco+", "val")
RefcocoPlusTestA = _res("refcocoplus_res_testA", "refcoco+", "testA")
RefcocoPlusTestB = _res("refcocoplus_res_testB", "refcoco+", "testB")
RefcocogVal = _res("refcocog_res_val", "refcocog", "val")
RefcocogTest = _res("refcocog_res_test", "refcocog", "test")
