"""The card of the miniature LLaVA: how it was trained, and its scores on held-out scenes."""

import json
import platform
from collections import defaultdict
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
import transformers
from PIL import Image
from tqdm.auto import tqdm

from litelvlm.arrays import Array
from litelvlm.data.understanding.question import TASKS, Question
from litelvlm.data.understanding.rendered import load_questions
from litelvlm.metrics.answers import score_answer
from litelvlm.models.vlm.answering import AnsweringVlm
from litelvlm.pruning import Pruner, get_pruner
from litelvlm.training.glamm.card import paragraph, show
from litelvlm.training.glamm.evaluate import by_image, interval
from litelvlm.training.llava.train import LlavaRecipe

_GREY = (127, 127, 127)
_IMAGES = 80  # of the 160 with questions; every kind has 60 questions or more there
_HEAD = """# The miniature LLaVA

A plain `LlavaForConditionalGeneration` of transformers at about a thousandth of its size. Its image
tower is the CLIP of the miniature GLaMM, which is stored there alone; projector and language model
stand here. It answers questions about rendered scenes in one word. **It is not evidence about
LLaVA-1.5 or about natural images**: what it shows holds for it alone.
"""
_LIMITS = """## Limits

- It knows the words of its questions and answers and no others. Every other word is one and the
  same unknown token. By an oversight "object" in the singular is among them; as it is the only such
  word in the questions, the token has come to mean it.
- Projector and language model started as the miniature GLaMM's. Both miniatures are therefore not
  independent trainings, and this may be the reason for what they share.
- A helper read categories from the visual tokens' last states during training. It is dropped.
- It learned with irregular rotary offsets of the visual tokens (all of them fed, none pruned), as
  the miniature GLaMM did. Renumbering after pruning is close to what it knows.
- Questions follow templates, and most kinds have few answers. Read every score beside the blank
  image's. Counting is hardly learned: its interval touches that of the blank image.
"""


class KindRow(TypedDict):
    """Accuracy of one kind of question under one condition (value, low, high).

    Attributes:
        task: Layout.
        kind: Kind of question there.
        condition: What the model saw.
        n: Questions.
        accuracy: With its 95 % interval.
    """

    task: str
    kind: str
    condition: str
    n: int
    accuracy: tuple[float, float, float]


def conditions(n_tokens: int) -> dict[str, tuple[list[Pruner | None], int | None, bool]]:
    """Draws, budget and whether the image is blank, by name."""
    random: list[Pruner | None] = [get_pruner("random")]
    counts = (n_tokens // 3, n_tokens // 9, n_tokens // 18)
    found: dict[str, tuple[list[Pruner | None], int | None, bool]] = {
        "unpruned": ([None], None, False)
    }
    found |= {f"random {k}": (random, k, False) for k in counts}
    return found | {"blank image": ([None], None, True)}


def measure(model: AnsweringVlm) -> list[KindRow]:
    """Accuracy by task, kind and condition on all embedded questions."""
    rows: list[KindRow] = []
    for task in TASKS:
        kinds: dict[str, list[Question]] = defaultdict(list)
        for question in load_questions(task).first(_IMAGES).questions:
            kinds[question.group].append(question)
        for kind, questions in kinds.items():
            places = {
                name: i for i, name in enumerate(dict.fromkeys(q.image_id for q in questions))
            }
            image = np.array([places[q.image_id] for q in questions])
            found = _scores(model, task, kind, questions)
            for condition, scores in found.items():
                counts = by_image(np.ones(len(image)), image)
                accuracy = interval(by_image(scores, image), counts)
                rows.append({
                    "task": task, "kind": kind, "condition": condition, "n": len(questions),
                    "accuracy": accuracy,
                })  # fmt: skip
    return rows


def _scores(
    model: AnsweringVlm, task: str, kind: str, questions: list[Question]
) -> dict[str, Array]:
    """Mean score over draws of every question, by condition."""
    table = conditions(model.n_tokens or 0)
    found: dict[str, Array] = {name: np.zeros(len(questions)) for name in table}
    for place, question in enumerate(tqdm(questions, desc=f"{task}, {kind}", unit="question")):
        picture = question.open()
        grey = Image.new("RGB", picture.size, _GREY)
        for name, (draws, budget, blank) in table.items():
            for pruner in draws:
                said = model.answer(grey if blank else picture, question.prompt, pruner, budget)
                score = score_answer(TASKS[task].rule, said.text, question.answer).score
                found[name][place] += score / len(draws)
    return found


def write_card(
    model: AnsweringVlm,
    rows: list[KindRow],
    folder: Path,
    recipe: LlavaRecipe,
    seed: int,
    path: Path,
) -> None:
    """Write the card and its numbers.

    Args:
        model: The exported weights, loaded again.
        rows: Its measured scores.
        folder: Holds the training's log.
        recipe: Printed as it is.
        seed: Of the training.
        path: Where the card goes; ``path`` with the suffix .json gets the numbers.
    """
    names = list(dict.fromkeys(row["condition"] for row in rows))
    cells = {(row["task"], row["kind"], row["condition"]): row for row in rows}
    kinds = list(dict.fromkeys((row["task"], row["kind"]) for row in rows))
    table = [
        "| "
        + " | ".join([
            TASKS[task].title, kind, str(cells[task, kind, names[0]]["n"]),
            *(show(cells[task, kind, name]["accuracy"]) for name in names),
        ])
        + " |"
        for task, kind in kinds
    ]  # fmt: skip
    entries = [
        json.loads(line)
        for line in (folder / f"{recipe.stage.name}.jsonl").read_text().splitlines()
    ]
    last = ", ".join(
        f"{k.strip('_')} {v:.3f}" for k, v in entries[-1].items() if k not in ("step", "seconds")
    )
    stage = recipe.stage
    lines = [
        _HEAD,
        "## Held-out scores\n",
        paragraph(
            f"Accuracy on the embedded questions about the first {_IMAGES} images, in the layouts "
            "of three tasks, with the prompt of LLaVA-1.5. "
            f"Budgets are of {model.n_tokens} tokens, contiguous positions, one draw; "
            "95 % intervals by resampling images (2,000 times)."
        ),
        "| layout | questions | n | " + " | ".join(names) + " |",
        "|---" * (3 + len(names)) + "|",
        *table,
        "\n## Training\n",
        paragraph(
            f"Seed {seed}, {platform.machine()}, torch {torch.__version__}, "
            f"transformers {transformers.__version__}. {recipe.scenes:,} distinct scenes, "
            f"{recipe.questions} questions of a scene in a step, {stage.steps} steps of "
            f"{stage.batch} scenes, peak rate {stage.lr}, helper {recipe.helper}. Reproduce: "
            f"`python -m litelvlm.training.llava --out FOLDER --seed {seed}`."
        ),
        paragraph(f"Last log entry (training batches): {last}."),
        paragraph(f"Content sha256 (weights, configuration, tokenizer, CLIP) `{model.digest}`."),
        _LIMITS,
    ]
    path.write_text("\n".join(lines))
    path.with_suffix(".json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")
