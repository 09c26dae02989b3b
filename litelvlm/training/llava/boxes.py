"""Words and training batches of the miniature that writes boxes: expressions and their boxes."""

import re
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from tokenizers import Regex, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from litelvlm.arrays import Array
from litelvlm.data.worlds.pictograms.scenes import level_vocabulary
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.prompting.prompts import OPENING, SYSTEM
from litelvlm.models.vlm.boxes import BOX_HABITS
from litelvlm.training.clip_parts import word_tokenizer
from litelvlm.training.llava.batches import MOSTLY, QuestionScenes, pack_turns
from litelvlm.training.llava.sizes import IMAGE_TOKEN, LENGTH, SPECIAL
from litelvlm.training.packing import Packed

STEPS = 25
"""Steps from one side of the square to the other, which are what can be written."""
_STEPS = tuple(f"{step / STEPS:.2f}" for step in range(STEPS + 1))
FORMS = ("[{},", "{},", "{}]")
"""How the first number of a box, the two in the middle and the last one are written."""
NUMBERS = tuple(form.format(step) for form in FORMS for step in _STEPS)
"""Each is one token, so that the state before an answer predicts a number."""
_FRAME = f"{SYSTEM} USER: {OPENING}{{}} ASSISTANT:"
_PROMPT = _FRAME.replace("{}", BOX_HABITS["llava"].prompt)
_MARKS = tuple(",.:'")
_STARTS = ("<im_start>", "<im_end>")
_PARTS = Regex(r"\[?\d\.\d\d[,\]]|\w+|[^\w\s]")
CHAT_TEMPLATE = _FRAME.replace("{}", "{{ messages[0]['content'][-1]['text'] }}")


def box_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of GLaMM's template, the prompt, the expressions and the numbers.

    A word with a capital is another word, as in GLaMM.
    """
    text = re.sub("<.*?>", " ", _PROMPT)
    words = {*re.findall(r"\w+", text), *level_vocabulary("medium")}
    unknown, bos, eos, pad, _ = SPECIAL
    tokenizer = word_tokenizer(
        (*SPECIAL, *_STARTS, *_MARKS, *sorted(words), *NUMBERS),
        f"{bos} $A",
        unknown,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        extra_special_tokens={"image_token": IMAGE_TOKEN, "start": _STARTS[0], "end": _STARTS[1]},
        model_max_length=LENGTH,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
    )
    tokenizer.backend_tokenizer.normalizer = None
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split(_PARTS, "removed", invert=True)
    return tokenizer


def pieces_of(glamm: Glamm, word: str) -> list[int]:
    """GLaMM's pieces of a word, a mark or a special token."""
    own = glamm.tokenizer
    if word in own.special_tokens:
        return [own.special_tokens[word]]
    mark = own.pieces.piece_to_id(word)  # a mark stands behind a word, without a blank
    return [mark] if word in _MARKS else list(own.pieces.encode(word, out_type=int))


def written(box: Sequence[float]) -> str:
    """A box in shares of the square's side, as the miniature writes it.

    Example:
        >>> written((0.1, 0.253, 0.5, 1.0))
        '[0.08, 0.24, 0.48, 1.00]'
    """
    return f"[{', '.join(_STEPS[round(STEPS * place)] for place in box)}]"


class BoxScenes(QuestionScenes):
    """Training batches: expressions of some scenes, each answered with the box of what it means.

    Visual tokens keep their plain positions, as in LLaVA's own training.
    """

    def expressions(self, index: int, rng: np.random.Generator) -> list[tuple[str, str]]:
        """Expressions of one scene with their answers; each comes once before one comes again."""
        boxes, known = self.pool.boxes(index), self.pool.meta[index]["expressions"]
        order = [place for _ in range(self.n_questions) for place in rng.permutation(len(known))]
        chosen = [known[place] for place in order[: self.n_questions]]
        return [(text, written(boxes[target])) for text, target, _ in chosen]

    def packed(self, indices: Array, n_tokens: int, rng: np.random.Generator) -> Packed:
        """The rows of some scenes."""
        asked = [self.expressions(int(index), rng) for index in indices]
        return pack_turns(self.tokenizer, n_tokens, asked, None, _PROMPT)

    def patch_labels(self, index: int) -> Float[Tensor, "n 4"]:
        """Box of the object that covers most of each patch; nan below a half."""
        coverage, boxes = self.pool.coverage(index), self.pool.boxes(index)
        coverage = coverage[:, : len(boxes)]
        labels = np.where((coverage.max(1) >= MOSTLY)[:, None], boxes[coverage.argmax(1)], np.nan)
        return torch.from_numpy(labels).float()
