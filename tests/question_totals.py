"""Totals of POPE, MME and MMBench in their plainest form; the study resamples the same sums."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import nan

from litelvlm.metrics.understanding import COGNITION, PERCEPTION


def yes_no_scores(said: Sequence[str], truth: Sequence[str]) -> dict[str, float]:
    """POPE's scores, "yes" being the positive class.

    Args:
        said: "yes" or "no" per question, as ``read_pope`` reads answers.
        truth: "yes" or "no".

    Returns:
        accuracy, precision, recall, f1 and yes_ratio, from 0 to 1. Without an answer "yes"
        precision is 0; without a truth "yes" recall and f1 are nan.

    Raises:
        ValueError: If the lengths differ, there is no question, or one is no yes or no.

    Source: POPE's evaluation (Li et al. 2023).
    """
    if len(said) != len(truth) or not truth or not {*said, *truth} <= {"yes", "no"}:
        raise ValueError(
            f"{len(said)} answers for {len(truth)} truths; give one of each per question, at least "
            "one, each 'yes' or 'no'"
        )
    pairs = [(one == "yes", right == "yes") for one, right in zip(said, truth, strict=True)]
    hit = sum(one and right for one, right in pairs)
    claimed, there = sum(one for one, _ in pairs), sum(right for _, right in pairs)
    precision = hit / claimed if claimed else 0.0
    recall = hit / there if there else nan
    return {
        "accuracy": sum(one == right for one, right in pairs) / len(pairs),
        "precision": precision,
        "recall": recall,
        "f1": 2 * hit / (claimed + there) if there else nan,
        "yes_ratio": claimed / len(pairs),
    }


def mme_scores(
    right: Sequence[bool], category: Sequence[str], image: Sequence[str]
) -> Mapping[str, float]:
    """MME: per category accuracy plus the share of images with both questions right, times 100.

    Args:
        right: Whether each answer is right.
        category: MME's categories; others get a score but enter no total.
        image: Image of each question; two questions belong to one.

    Returns:
        One score per category (0 to 200), then "perception" (0 to 2000) and "cognition" (0 to 800)
        as the sums of those there are.

    Raises:
        ValueError: If an image of a category has not exactly two questions.

    Source: MME (Fu et al. 2023), section on evaluation.
    """
    groups: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for ok, kind, name in zip(right, category, image, strict=True):
        groups[kind][name].append(bool(ok))
    scores: dict[str, float] = {}
    for kind, images in groups.items():
        odd = [name for name, both in images.items() if len(both) != 2]
        if odd:
            raise ValueError(
                f"MME asks two questions about each image; of {kind!r} {len(odd)} images have "
                f"another number, the first is {odd[0]!r}; give the whole category"
            )
        single = sum(sum(both) for both in images.values()) / (2 * len(images))
        plus = sum(all(both) for both in images.values()) / len(images)
        scores[kind] = 100 * (single + plus)
    for total, kinds in (("perception", PERCEPTION), ("cognition", COGNITION)):
        if any(kind in scores for kind in kinds):
            scores[total] = sum(scores.get(kind, 0.0) for kind in kinds)
    return scores


def circular_accuracy(right: Sequence[bool], question: Sequence[str]) -> float:
    """MMBench: share of questions that are right in every order of their options.

    Args:
        right: Whether each answer is right.
        question: The question that each is a reordering of.

    Raises:
        ValueError: If there is none.

    Source: MMBench (Liu et al. 2023), CircularEval.
    """
    all_right: dict[str, bool] = {}
    for ok, name in zip(right, question, strict=True):
        all_right[name] = all_right.get(name, True) and bool(ok)
    if not all_right:
        raise ValueError("there is no question to score")
    return sum(all_right.values()) / len(all_right)
