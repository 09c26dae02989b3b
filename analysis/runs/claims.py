"""Claims and their verdicts: a statement, its estimate against a null, and what follows."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field
from scipy.stats import norm

from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.analysis.stats.bootstrap import Bootstrap, Estimate
from litelvlm.analysis.stats.crossed import Crossed
from litelvlm.data.dataset import CLIPS, IMAGES

# A 95 % percentile interval covers .73 of the time with 3 images, .84 with 5, .91 with 10 and .94
# with 20 (simulated).
MIN_IMAGES = 20
ALPHA = 0.05
Verdict = Literal["supported", "not supported", "undetermined"]
_WORSE: tuple[Verdict, ...] = ("supported", "undetermined", "not supported")
_TOLD = ("null_description", "method", "generalises")
"""Fields of a claim that may speak of the images which are resampled."""
# JSON has no nan: it is written as null and read back as nan.
Number = Annotated[float, BeforeValidator(lambda value: float("nan") if value is None else value)]


class Claim(Frozen):
    """One statement with everything needed to judge it.

    Attributes:
        id: Short name, such as "H1".
        statement: What is claimed, as a full sentence.
        estimate: The number the verdict rests on.
        low: Lower end of its interval; nan if undefined.
        high: Upper end of its interval; nan if undefined.
        n_images: Images it rests on, or whatever ``unit`` names.
        n: Samples it rests on.
        null: Value the interval is compared with.
        null_description: What that value stands for.
        verdict: "supported", "not supported" or "undetermined".
        method: How the interval was made.
        p_value: Against the null, not corrected; two-sided unless ``one_sided``; nan if there is
            none.
        one_sided: Whether ``p_value`` counts the claimed direction only.
        p_claimed: One-sided in the claimed direction, which a joint claim needs; nan if none.
        excluded: Samples left out of the estimate, by reason.
        margin: Differences from the null below it count as none; nan if nothing was settled in
            advance.
        p_equivalent: Of two one-sided tests against that margin: small if the estimate is as good
            as the null.
        unit: What the interval resamples or counts: "images" or "clips", each with all its samples,
            "trainings", or "cells" of them.
        low_categories: Lower end of the interval over images and categories, never narrower; nan
            where categories say nothing about it.
        high_categories: Its upper end; nan likewise.
        generalises: What the verdict generalises over, in words; empty if not settled.
        level: Of both intervals, two-sided: an end of 0.9 is a one-sided 95 % bound.
    """

    id: str
    statement: str
    estimate: Number
    low: Number
    high: Number
    n_images: int
    n: int
    null: float
    null_description: str
    verdict: Verdict
    method: str = ""
    p_value: Number = float("nan")
    one_sided: bool = False
    p_claimed: Number = float("nan")
    excluded: dict[str, int] = Field(default_factory=dict)
    margin: Number = float("nan")
    p_equivalent: Number = float("nan")
    unit: str = IMAGES
    low_categories: Number = float("nan")
    high_categories: Number = float("nan")
    generalises: str = ""
    level: float = 0.95

    @property
    def widest(self) -> tuple[float, float]:
        """Ends of the widest interval, which the verdict follows."""
        if np.isfinite(self.low_categories) and np.isfinite(self.high_categories):
            return self.low_categories, self.high_categories
        return self.low, self.high

    @property
    def seen_only(self) -> bool:
        """Whether the interval over images clears the null and only other categories are open."""
        return bool(
            self.verdict == "undetermined"
            and np.isfinite(self.low_categories)
            and self.n_images >= MIN_IMAGES
            and not self.low <= self.null <= self.high
        )

    @property
    def detectable(self) -> float:
        """Smallest true difference from the null that such data show four times out of five.

        With a 95 % interval it is 2.80 standard errors; nan without an interval.
        """
        low, high = self.widest
        half_width, above = norm.ppf([(1 + self.level) / 2, 0.8])  # in standard errors
        return float((high - low) / 2 * (half_width + above) / half_width)

    @property
    def power(self) -> str:
        """The smallest detectable difference in words, beside an undetermined verdict only."""
        if self.verdict != "undetermined" or not np.isfinite(self.detectable):
            return ""
        return f"smallest detectable difference {self.detectable:.2g}"

    @property
    def clustered(self) -> bool:
        """Whether the interval resamples what may hold several samples."""
        return self.unit in (IMAGES, CLIPS)

    @property
    def sample(self) -> str:
        """What the estimate rests on, in words."""
        units = f"{self.n_images} {self.unit if self.n_images != 1 else self.unit[:-1]}"
        alone = self.n == self.n_images and not self.clustered
        return units if alone else f"{self.n} samples from {units}"

    def resampling(self, unit: str) -> "Claim":
        """The same claim where what was resampled as images is ``unit``, such as "clips"."""
        told = {name: in_unit(getattr(self, name), unit) for name in _TOLD}
        return self.model_copy(update=told | ({"unit": unit} if self.clustered else {}))

    @property
    def equivalent(self) -> bool:
        """Whether the estimate lies within the margin of the null, shown on enough images."""
        return self.n_images >= MIN_IMAGES and self.p_equivalent <= ALPHA

    @property
    def equivalence(self) -> str:
        """The test of equivalence in words; empty if there is none."""
        if not np.isfinite(self.p_equivalent):
            return ""
        tested = f"two one-sided tests, p = {self.p_equivalent:.3g}"
        shown = f"shown to lie within {self.margin:g} of that value ({tested})"
        return f"{'' if self.equivalent else 'not '}{shown}"


def in_unit(text: str, unit: str) -> str:
    """A text on how images are resampled, where clips are; "the image" is a picture and stays.

    Example:
        >>> in_unit("95% image bootstrap", "clips"), in_unit("other images", "images")
        ('95% clip bootstrap', 'other images')
    """
    return text if unit == IMAGES else re.sub(r"(?<!an )(?<!the )\bimage", "clip", text)


def verdict(estimate: Estimate, null: float) -> Verdict:
    """Compare an interval with a null value.

    Supported if the interval lies wholly above the null, not supported if wholly below (or on it),
    undetermined if it holds the null, if there is no interval, or if it rests on fewer than 20
    images, too few for a bootstrap interval to be as wide as it should.

    Example:
        >>> verdict(Estimate(0.2, 0.1, 0.3, 50, 120, ""), null=0.0)
        'supported'
        >>> verdict(Estimate(0.2, -0.1, 0.3, 50, 120, ""), null=0.0)
        'undetermined'
    """
    if not estimate.defined or estimate.n_images < MIN_IMAGES:
        return "undetermined"
    if estimate.low > null:
        return "supported"
    return "not supported" if estimate.high <= null else "undetermined"


def make_claim(
    id: str,
    statement: str,
    estimate: Estimate,
    null: float,
    null_description: str,
    p_value: float = float("nan"),
    p_claimed: float = float("nan"),
    one_sided: bool = False,
    excluded: Mapping[str, int] | None = None,
    margin: float = float("nan"),
    p_equivalent: float = float("nan"),
    crossed: Crossed | None = None,
    level: float = 0.95,
) -> Claim:
    """Build a claim that an estimate lies above its null; the verdict follows from the interval.

    What the interval leaves undetermined is not supported if it is shown to be equivalent to the
    null: this separates a true zero from too few images. Where the estimate is also known over
    images and categories, the wider interval and the larger p-values decide.

    Args:
        id: Of the claim.
        statement: As a full sentence.
        estimate: With its interval over images.
        null: Value to compare with.
        null_description: What it stands for.
        p_value: From resampled images.
        p_claimed: One-sided, likewise.
        one_sided: Whether ``p_value`` counts the claimed direction only.
        excluded: Samples left out, by reason.
        margin: Differences below it count as none.
        p_equivalent: From resampled images.
        crossed: The same estimate over images and categories.
        level: Of both intervals.
    """
    ends, widest = (np.nan, np.nan), estimate
    if crossed is not None and crossed.defined and estimate.defined:
        low, high = crossed.ends(level)
        ends = (min(low, estimate.low), max(high, estimate.high))
        widest = estimate._replace(low=ends[0], high=ends[1])
        above = crossed.p_value(null, one_sided=True)
        sided = above if one_sided else crossed.p_value(null)
        p_value = float(np.maximum(p_value, sided))
        p_claimed = float(np.maximum(p_claimed, above))
        if margin > 0:
            p_equivalent = float(np.maximum(p_equivalent, crossed.p_equivalent(margin, null)))
    claim = Claim(
        id=id,
        statement=statement,
        estimate=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n_images=estimate.n_images,
        n=estimate.n,
        null=null,
        null_description=null_description,
        verdict=verdict(widest, null),
        method=estimate.method,
        p_value=p_value,
        one_sided=one_sided,
        p_claimed=p_claimed,
        excluded={reason: n for reason, n in (excluded or {}).items() if n},
        margin=margin,
        p_equivalent=p_equivalent,
        low_categories=ends[0],
        high_categories=ends[1],
        generalises=crossed.generalises if crossed is not None else "",
        level=level,
    )
    refuted = claim.verdict == "undetermined" and claim.equivalent
    return claim.model_copy(update={"verdict": "not supported"}) if refuted else claim


def effect_claim(
    id: str,
    statement: str,
    result: Bootstrap,
    null_description: str,
    excluded: Mapping[str, int] | None = None,
    margin: float = float("nan"),
    crossed: Crossed | None = None,
    null: float = 0.0,
) -> Claim:
    """A claim that the first statistic of ``result`` lies above ``null``, with p-values from draws.

    With a margin it also says how surely the statistic is as good as the null. ``crossed`` is the
    same statistic over images and categories.
    """
    return make_claim(
        id,
        statement,
        result.estimates()[0],
        null,
        null_description,
        p_value=float(result.p_values(null)[0]),
        p_claimed=float(result.p_values(null, one_sided=True)[0]),
        excluded=excluded,
        margin=margin,
        p_equivalent=float(result.p_equivalent(margin, null)[0]) if margin > 0 else float("nan"),
        crossed=crossed,
    )


def null_claim(
    id: str,
    statement: str,
    result: Bootstrap,
    null: float,
    null_description: str,
    margin: float,
    excluded: Mapping[str, int] | None = None,
    crossed: Crossed | None = None,
) -> Claim:
    """A claim that a control gives what it must, shown by equivalence.

    Supported if the first statistic of ``result`` lies within ``margin`` of ``null`` (two one-sided
    tests), not supported if its interval lies wholly outside, undetermined otherwise. The p-value
    is that of the two tests.
    """
    estimate = result.estimates()[0]
    claim = make_claim(
        id,
        statement,
        estimate,
        null,
        null_description,
        one_sided=True,
        excluded=excluded,
        margin=margin,
        p_equivalent=float(result.p_equivalent(margin, null)[0]),
        crossed=crossed,
    )
    low, high = claim.widest
    outside = estimate.n_images >= MIN_IMAGES and (low >= null + margin or high <= null - margin)
    shown: Verdict = (
        "supported" if claim.equivalent else "not supported" if outside else "undetermined"
    )
    tested = dict.fromkeys(("p_value", "p_claimed"), claim.p_equivalent)
    return claim.model_copy(update={"verdict": shown, **tested})


def joint_claim(id: str, statement: str, parts: Sequence[Claim]) -> Claim:
    """A claim that needs all of its parts; it shows the part that decides.

    The part with the worst verdict decides; of equal verdicts the one with the largest p-value,
    then the one whose interval reaches lowest beside its null. The p-value is the largest one-sided
    one. No correction is due among the parts, since each of them must hold (intersection-union
    test), and each in its claimed direction: a two-sided p-value would be small for an effect on
    the wrong side.
    """
    p_value = float(np.max([part.p_claimed for part in parts]))
    deciding = max(
        parts,
        key=lambda part: (
            _WORSE.index(part.verdict),
            np.nan_to_num(part.p_claimed, nan=np.inf),
            part.null - part.widest[0],
        ),
    )
    return deciding.model_copy(
        update={
            "id": id,
            "statement": statement,
            "null_description": f"{deciding.id} decides: {deciding.null_description}",
            "p_value": p_value,
            "p_claimed": p_value,
            "one_sided": True,
        }
    )
