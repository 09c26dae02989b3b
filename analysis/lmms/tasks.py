"""Tasks of lmms-eval: referring segmentation, and questions about rendered scenes."""

from collections.abc import Mapping, Sequence
from functools import partial

from datasets import Dataset, DatasetDict
from lmms_eval.api.task import ConfigurableTask
from PIL import Image

from litelvlm.analysis.lmms.answers import LOST, QuestionSource
from litelvlm.analysis.lmms.grounding import ExpressionSource

Doc = Mapping[str, object]
ENDS = ("value", "low", "high")
_SPLIT = "test"


class LocalTask(ConfigurableTask):
    """A task whose documents are made here and whose pictures are opened when asked for.

    Args:
        config: The task's file: its name, and "questions" (the name of a task with questions) or
            "expressions" (root, dataset and split of referring expressions).
    """

    def __init__(self, config: Mapping[str, object]) -> None:
        questions, expressions = config.get("questions"), config.get("expressions")
        self.source: ExpressionSource | QuestionSource = (
            ExpressionSource(**expressions)
            if isinstance(expressions, dict)
            else QuestionSource(str(questions))
        )
        super().__init__(
            config={
                "task": config["task"],
                "test_split": _SPLIT,
                "output_type": "generate_until",
                "doc_to_visual": self.pictures,
                "doc_to_text": self.source.prompt,
                "doc_to_target": self.source.target,
                "process_results": self.scored,
                "metric_list": self.metric_list(),
                "generation_kwargs": {"max_new_tokens": 16, "do_sample": False},
                "metadata": {"version": 1.0},
            }
        )

    def download(self, dataset_kwargs: Mapping[str, object] | None = None) -> None:
        """Make the documents; nothing is fetched."""
        docs = [dict(doc) for doc in self.source.docs()]
        self.dataset = self.dataset_no_image = DatasetDict({_SPLIT: Dataset.from_list(docs)})

    def pictures(self, doc: Doc) -> list[Image.Image]:
        """The only picture of a document."""
        return [self.source.picture(doc)]

    def metric_list(self) -> list[dict[str, object]]:
        """Every metric, followed by the ends of its interval over images."""
        return [
            {
                "metric": name if end == "value" else f"{name}_{end}",
                "aggregation": partial(self.aggregate, name, end),
                "higher_is_better": name not in LOST,
            }
            for name in self.source.metrics
            for end in ENDS
        ]

    def scored(self, doc: Doc, results: Sequence[str]) -> dict[str, object]:
        """What each metric is made of, of one document."""
        return dict.fromkeys(self._metric_fn_list, self.source.scored(doc, results[0]))

    def aggregate(self, name: str, end: str, results: Sequence[Doc]) -> float:
        """A metric over all documents, or one end of its interval."""
        return float(getattr(self.source.estimates(results)[name], end))
