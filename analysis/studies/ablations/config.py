"""The reviewers' requests as methods of a sweep, and what each method is compared with."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import Field

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE
from litelvlm.analysis.inputs.questions import AnswerConfig
from litelvlm.analysis.runs.config import Budgets, Count, Share

ReviewerRequest = Literal[
    "llm_score",
    "llm_shapley",
    "worst_first",
    "falsify",
    "recovery",
    "paper_rule",
    "rivals",
    "rounding",
    "reads_text",
    "protocol",
    "attention",
]
REQUESTS: tuple[ReviewerRequest, ...] = get_args(ReviewerRequest)

_SHUFFLED = "(texts=shuffled)"
READERS = (
    *("high_similarity", "value_path", "value_path_grid", "trim", "cdpruner"),
    *("llm_attention", "llm_gradient", "block_loo"),
)
"""Methods beside the paper's that read the text before the language model prunes anything. Those
that drop tokens inside the language model read the text there, so none can be exchanged."""


def shuffled(method: str) -> str:
    """Label of a method whose ranking reads the text of another image."""
    return method + _SHUFFLED


def unshuffled(label: str) -> str:
    """The method of such a label; empty for any other label."""
    return label.removesuffix(_SHUFFLED) if label.endswith(_SHUFFLED) else ""


SHUFFLED, EMPTY = shuffled(PAPER), f"{PAPER}(texts=empty)"
LAST_LAYER, CONTEXT_ONLY = f"{PAPER}(layer=-1)", f"{PAPER}(context_share=1)"
KERNEL_SHAP = "kernel_shap"
ALTERED = (EMPTY, LAST_LAYER, CONTEXT_ONLY, KERNEL_SHAP, *map(shuffled, (PAPER, *READERS)))
"""Methods on other inputs, or without their ranking: no setting of a method expresses these."""
OPPOSITE = f"{PAPER}(direction=highest)"
RASTER = f"{PAPER}(order=raster)"
RULE_OPPOSITE = f"{PAPER_RULE}(direction=highest)"
REFILL = f"{PAPER}(overlap=refill)"
"""No recovery: where texts choose the same token, they choose their next ones; no context."""
HALF, HALF_RASTER = f"{PAPER}(context_share=0.5)", f"{PAPER}(context_share=0.5, order=raster)"

METHODS_BY_REQUEST: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "llm_score": (
            "llm_attention",
            # Layers 2, 10 and 16 of 32, and those at the same depth of another model.
            "llm_attention(layers=0.0625)",
            "llm_attention(layers=0.3125)",
            "llm_attention(layers=0.5)",
            "llm_attention(layers=mean)",
            "llm_attention(query_token=last_prompt)",
            "llm_gradient",
            "block_loo",
        ),
        "llm_shapley": (KERNEL_SHAP,),
        "worst_first": (OPPOSITE, "reverse(of=llm_attention)"),
        "falsify": (
            "random",
            "uniform",
            "mask_oracle(share=1.0)",
            "inverse_mask_oracle",
            SHUFFLED,
            EMPTY,
            "value_norm",
            CONTEXT_ONLY,
            f"{PAPER}(similarity=cosine)",
            LAST_LAYER,
        ),
        "recovery": (
            f"{PAPER}(context_share=0.25)",
            HALF,
            f"{PAPER}(context_share=0.667)",
            HALF_RASTER,
        ),
        "paper_rule": (PAPER_RULE, RULE_OPPOSITE),
        "rivals": (
            "fastv",
            "trim",
            "cdpruner",
            "divprune",
            "scope",
            "vispruner",
            "visionzip",
            "pyramiddrop",
            "tome",
            "sparsevlm",
            "prumerge_plus",
        ),
        "rounding": (f"{PAPER}(precision=bfloat16)",),
        "reads_text": (SHUFFLED, *READERS, *map(shuffled, READERS)),
    }
)
"""Labels of the methods that answer each request; the paper's method is always run."""
RIVALS = METHODS_BY_REQUEST["rivals"]
"""Published methods that H7 compares with."""
TOGETHER = (
    *(PAPER, OPPOSITE, RASTER, "value_norm", "random", "uniform"),
    *(REFILL, HALF, PAPER_RULE),
)
"""Methods of the request "protocol". In the conversation protocol, context tokens fill a part of
the budget. Does the ranking carry the score there, or do these tokens (nearly the largest value
norms), or does the order of the tokens?"""
REFERENCES: Mapping[str, str] = MappingProxyType(
    {
        HALF_RASTER: HALF,
        RULE_OPPOSITE: PAPER_RULE,
        "reverse(of=llm_attention)": "llm_attention",
        **{shuffled(method): method for method in READERS},
    }
)
"""What a method is compared with, where it is not the paper's method."""


def request_of(method: str) -> str:
    """The request that a method answers; "paper" for the paper's own."""
    return next(
        (request for request, labels in METHODS_BY_REQUEST.items() if method in labels), "paper"
    )


class Config(AnswerConfig):
    """Configuration of the study.

    Attributes:
        requests: Which of the reviewers' requests to answer.
        images: Images, taken at even distances from the split; None for all.
        expressions: Expressions of each image, likewise; the official protocol draws from all of
            them.
        budgets: Token counts; None for the published shares of all tokens.
        random_seeds: Draws of random tokens.
        official_seeds: Draws of the official protocol.
        coalitions: Of KernelSHAP, as a score (512 in a full study).
        pool: Expressions that foreign texts are taken from.
        margin: A difference of scores within it counts as none.
        lead: Lead over the best rival that H7 claims, as a share of the rival's score, and in
            points.
        correlation_margin: A correlation within it counts as none.
    """

    requests: Annotated[tuple[ReviewerRequest, ...], Field(min_length=1)] = REQUESTS
    images: Count | None = 40
    expressions: Count | None = 1
    budgets: Budgets | None = None
    random_seeds: Count = 10
    official_seeds: Count = 5
    coalitions: Count = 144
    pool: Count = 64
    margin: Share = 0.01
    lead: Share = 0.05
    correlation_margin: Share = 0.05

    @property
    def methods(self) -> tuple[str, ...]:
        """Labels of all methods to run, the paper's first."""
        asked = [
            label
            for request, labels in METHODS_BY_REQUEST.items()
            if request in self.requests
            for label in labels
        ]
        return tuple(dict.fromkeys((PAPER, *asked)))
