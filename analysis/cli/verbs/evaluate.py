"""`litelvlm evaluate`: the scores that papers print, in one command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from litelvlm.analysis.cli.options import Printing, RunOptions


@dataclass(frozen=True, kw_only=True)
class Evaluate(RunOptions, Printing):
    """Score the unpruned model and pruning methods on a whole split.

    The scores are cIoU, gIoU, P@0.5 to P@0.9 and, with no-target expressions, N-acc and T-acc.
    Clips are scored by J, F and J&F as well, and those of Ref-DAVIS17 also with objects matched.
    With --answer generated a model answers itself; n_without_seg counts answers without a mask.

    --protocol single asks every expression once with one template (exhaustive). --protocol
    conversation asks all expressions of an image in one conversation. --protocol official draws
    three expressions an image and random templates for one conversation, as the official code does,
    once per seed. cIoU and gIoU are printed with the official epsilons and exactly. The rows are
    those of a sweep. Every finished part is kept; to continue, run the same command again.
    `litelvlm show` prints the intervals.

    Examples:
      litelvlm evaluate
      litelvlm evaluate --model GLAMM --data REFER_SEGM --dataset refcoco --split testA
      litelvlm evaluate --model GLAMM --data REFER_SEGM --protocol official --seeds 5
      litelvlm evaluate --data REFER_SEGM --dataset grefcoco --empty-below 1
      litelvlm evaluate --model UNIPIXEL --data MEVIS --dataset mevis --split valid_u
      litelvlm evaluate --methods "litelvlm(precision=bfloat16)" --options crop=pad read=seg --json
      litelvlm evaluate --task pope --model vlm:embedded --methods litelvlm --budgets 48 16
      litelvlm evaluate --task rec --model vlm:embedded-boxes --methods litelvlm --opposites

    --task asks a vision-language model instead. rec asks for the box of each referring expression,
    and prints the accuracy at an IoU of 0.5 and the mean IoU. gqa, pope and vqav2 ask questions
    about rendered scenes in the form of these sets. --model is "vlm:" with any family that
    `litelvlm ls families` lists; "vlm:embedded" and "vlm:embedded-boxes" are miniature LLaVAs.
    Published question-answering sets run in lmms-eval.
    """

    task: str | None = None
    """Ask for answers instead of masks: rec, gqa, pope or vqav2."""
    methods: tuple[str, ...] = ("litelvlm",)
    """Methods besides the unpruned model: litelvlm:paper, "litelvlm(similarity=cosine)"."""
    budgets: tuple[int | float, ...] | None = None
    """Tokens to keep, or shares of all from 0 to 1 (default: 1/3, 2/9, 1/9 and 1/18)."""
    protocol: Literal["single", "conversation", "official"] = "single"
    """Every expression alone, all of an image in one conversation, or three drawn ones in one."""
    seeds: int = 5
    """Draws of the official protocol, and of methods that draw at random."""
    question_index: int = 0
    """Question template of protocols single and conversation, 0 to 15."""
    answer_index: int = 0
    """Answer template of protocols single and conversation, 0 to 4."""
    answer: Literal["forced", "generated"] = "forced"
    """The model reads a template answer, or answers itself; without [SEG] its mask is empty."""
    doubled: Literal["background", "object"] = "background"
    """Pixels where polygons of one object overlap. "background" (official): predicting one is an
    error, leaving it out is none. "object": they belong to the object."""
    empty_below: int = 50
    """Fewer predicted pixels than this mean "nothing there" (official: 1)."""
    batch_size: int = 24
    """Passes of the language model at once: what bounds memory."""
    positions: tuple[Literal["contiguous", "original", "stretch"], ...] = ()
    """With --task: positions of the tokens that stay, for every method (default: its own)."""
    opposites: bool = False
    """With --task: ask each method that ranks by one score for the lowest scores as well."""
    prompt: str | None = None
    """With --task: how it is asked, {} being the question or the expression."""
    box_format: Literal["0-1", "0-1000", "pixels"] | None = None
    """With --task rec: what the numbers of a box are (default: as the family writes them)."""
    pad: bool = False
    """With --task: pad pictures to squares, as LLaVA's authors do, so that nothing is cut off."""
    max_new_tokens: int | None = None
    """With --task: length of an answer (default: 16, for boxes 128)."""
