"""The file of motivating examples in a sweep's run folder: maps, words and masks.

``litelvlm.analysis.studies.sweep.motivation`` writes it, figures read it. Reading needs no model.
"""

import json
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Bool, Float, UInt8
from safetensors import safe_open
from safetensors.numpy import save

from litelvlm.analysis.studies.examples_file import HOW_DRAWN
from litelvlm.arrays import Array
from litelvlm.data.files import atomic_write

FILE = Path("maps") / "motivation.safetensors"
_ARRAYS = ("picture", "mask", "similarity", "attention")
_TEXTS = ("text", "words", "methods", "ious", "case")
_KEY = "motives"  # the examples' entry in the file, which finished runs hold by this name


class MotivationExample(NamedTuple):
    """One expression.

    Attributes:
        text: The expression.
        picture: RGB in 0..255.
        mask: True mask.
        similarity: Similarity of each pixel's token to the text, NaN outside what the tower sees.
        words: Words of the question, [SOS] first and [EOS] last; empty where the text tower has no
            such row.
        attention: Attention of [EOS] to each word, mean over layers and heads.
        methods: Labels of the methods drawn.
        ious: IoU of each method's mask.
        panels: Overlay of each method's mask, RGB in 0..255.
        case: Success or failure of the paper's method, in words.
    """

    text: str
    picture: UInt8[Array, "height width 3"]
    mask: Bool[Array, "height width"]
    similarity: Float[Array, "height width"]
    words: tuple[str, ...]
    attention: Float[Array, "words"]
    methods: tuple[str, ...]
    ious: tuple[float, ...]
    panels: tuple[UInt8[Array, "height width 3"], ...]
    case: str = ""


class Motivation(NamedTuple):
    """What the motivating figures show.

    Attributes:
        examples: Expressions, successes before failures.
        budget: Tokens that the methods kept.
        inside: Similarities of tokens on the referent, in standard deviations from the mean of
            their image.
        outside: The same for tokens off the referent.
        n_images: Images behind both.
    """

    examples: tuple[MotivationExample, ...]
    budget: int
    inside: Float[Array, "i"]
    outside: Float[Array, "o"]
    n_images: int


def write_motivation(run: Path, found: Motivation) -> Path:
    """Keep the motivating examples of a run, and return their file."""
    arrays = {"inside": found.inside, "outside": found.outside}
    lines = []
    for number, example in enumerate(found.examples):
        fields = example._asdict()
        arrays |= {f"{number}.{name}": fields[name] for name in _ARRAYS}
        arrays |= {f"{number}.panel.{place}": panel for place, panel in enumerate(example.panels)}
        lines.append({name: fields[name] for name in _TEXTS})
    meta = {_KEY: json.dumps(lines), "budget": str(found.budget), "n_images": str(found.n_images)}
    return atomic_write(run / FILE, save(arrays, metadata=meta))


def read_motivation(run: Path) -> Motivation:
    """Read the motivating examples of a run.

    Raises:
        FileNotFoundError: If the run holds none.
    """
    if not (run / FILE).is_file():
        raise FileNotFoundError(f"{run} has no {FILE}; {HOW_DRAWN}")
    with safe_open(run / FILE, framework="numpy") as file:
        meta = file.metadata()
        examples = [
            MotivationExample(
                line["text"],
                file.get_tensor(f"{number}.picture"),
                file.get_tensor(f"{number}.mask"),
                file.get_tensor(f"{number}.similarity"),
                tuple(line["words"]),
                file.get_tensor(f"{number}.attention"),
                tuple(line["methods"]),
                tuple(line["ious"]),
                tuple(
                    file.get_tensor(f"{number}.panel.{place}")
                    for place in range(len(line["methods"]))
                ),
                line.get("case", ""),  # runs of before had none
            )
            for number, line in enumerate(json.loads(meta[_KEY]))
        ]
        return Motivation(
            tuple(examples),
            int(meta["budget"]),
            file.get_tensor("inside"),
            file.get_tensor("outside"),
            int(meta["n_images"]),
        )
