"""Phi-3's tokenizer, split as by the slow tokenizer of the official code's library.

The state of [SEG] depends on the exact pieces before it. Today's library leaves out a leading blank
that its older releases kept, so this module reads the same files itself.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import cast

from sentencepiece import SentencePieceProcessor

from litelvlm.data.safe.shown import shown
from litelvlm.models.configs import read_fields
from litelvlm.models.video_glamm.prompts import IMAGE_TOKEN, SEG_TOKEN

IMAGE_INDEX = -200
_BLANK = "▁"
_SHIELD = "\ue000"
"""A sign of private use: no piece holds it, so pieces behind it are cut as if nothing preceded."""


@dataclass(frozen=True)
class AddedToken:
    """A token beside the pieces of sentencepiece.

    Attributes:
        id: Its number.
        eats_right: It swallows the white space behind it.
        eats_left: It swallows the white space before it.
        named: It is one of the tokenizer's special tokens, behind which a lone blank at the start
            of a text is dropped.
    """

    id: int
    eats_right: bool = False
    eats_left: bool = False
    named: bool = False


class Phi3Tokenizer:
    """Text to token ids and back, as the published checkpoint was trained with.

    Args:
        model: Content of ``tokenizer.model`` (sentencepiece).
        added: Added tokens by their text.
        begins: Whether every prompt begins with ``<s>``.

    Attributes:
        size: Tokens in all; [SEG] is among the last.
        seg_id: Id of ``[SEG]``.

    Raises:
        ValueError: If the model cannot be parsed, or the ids of the added tokens have a gap.

    Source: transformers 4.41, slow ``LlamaTokenizer`` with ``legacy=False``; VideoGLaMM, official
        code (``tokenizer_image_token``).
    """

    def __init__(self, model: bytes, added: Mapping[str, AddedToken], begins: bool) -> None:
        self.pieces, self.added, self.begins = SentencePieceProcessor(), dict(added), begins
        try:
            self.pieces.LoadFromSerializedProto(model)
        except (RuntimeError, OSError) as error:
            raise ValueError(f"tokenizer.model is not a sentencepiece model: {error}") from error
        self.size = int(self.pieces.get_piece_size())
        beyond = sorted(token.id for token in added.values() if token.id >= self.size)
        if beyond != [*range(self.size, self.size + len(beyond))]:
            raise ValueError(
                f"the ids of added tokens must run on from {self.size} without a gap, got "
                f"{shown(beyond)}"
            )
        self.size += len(beyond)

    @property
    def seg_id(self) -> int:
        """Id of ``[SEG]``."""
        return self.added[SEG_TOKEN].id

    @cached_property
    def _splitter(self) -> re.Pattern[str]:
        longest_first = sorted(self.added, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    @cached_property
    def _texts(self) -> dict[int, str]:
        return {token.id: text for text, token in self.added.items()}

    @classmethod
    def from_pretrained(cls, folder: str | Path, marked: bool) -> "Phi3Tokenizer":
        """Read the tokenizer of a checkpoint folder, and add what the official code adds.

        Args:
            folder: Holds ``tokenizer.model`` and ``tokenizer_config.json``.
            marked: Whether ``<im_start>`` and ``<im_end>`` are added, before ``[SEG]``.

        Raises:
            FileNotFoundError: If one of the two is not there.
            ValueError: If one cannot be parsed, or the tokenizer is of a kind that is not known.
        """
        model, path = Path(folder) / "tokenizer.model", Path(folder) / "tokenizer_config.json"
        absent = [one.name for one in (model, path) if not one.is_file()]
        if absent:
            raise FileNotFoundError(
                f"{folder} has no {' and no '.join(absent)}; both come with the checkpoint"
            )
        config = read_fields(path.parent, "VideoGLaMM checkpoint", path.name)
        _check_kind(config, path)
        added = _added_tokens(config, path)
        plain = cls(model.read_bytes(), added, bool(config.get("add_bos_token")))
        wanted = ("<im_start>", "<im_end>") if marked else ()
        lacking = [text for text in (*wanted, SEG_TOKEN) if text not in added]
        for number, text in enumerate(lacking, plain.size):
            added[text] = AddedToken(number, named=text in wanted)
        return cls(model.read_bytes(), added, plain.begins)

    def encode(self, prompt: str) -> list[int]:
        """Token ids of a prompt, every ``<image>`` as the placeholder -200.

        The parts left and right of an ``<image>`` are encoded on their own.
        """
        ids = [self.pieces.bos_id()] if self.begins else []
        for place, part in enumerate(prompt.split(IMAGE_TOKEN)):
            ids += [IMAGE_INDEX] * (place > 0) + self._encode_part(part)
        return ids

    def _encode_part(self, text: str) -> list[int]:
        if not text:
            return []
        stretches = self._splitter.split(_BLANK + text.replace(_BLANK, " "))
        for place in range(1, len(stretches), 2):  # added tokens stand at the odd places
            token = self.added[stretches[place]]
            if token.eats_right:
                stretches[place + 1] = stretches[place + 1].lstrip()
            if token.eats_left:
                stretches[place - 1] = stretches[place - 1].rstrip()
        if stretches[0] == _BLANK and len(stretches) > 1 and self.added[stretches[1]].named:
            stretches[0] = ""
        ids: list[int] = []
        for place, stretch in enumerate(stretches):
            if place % 2:
                ids.append(self.added[stretch].id)
            elif stretch:
                ids += self._encode_stretch(stretch)
        return ids

    def _encode_stretch(self, text: str) -> list[int]:
        """Pieces of text without added tokens, without sentencepiece's own leading blank."""
        n_shield = len(self.pieces.encode(_SHIELD, out_type=int))
        return list(self.pieces.encode(_SHIELD + text, out_type=int))[n_shield:]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of generated ids, added tokens as text with a blank before them.

        Raises:
            ValueError: If an id is not in the vocabulary.
        """
        ids = list(ids)
        wrong = [i for i in ids if not 0 <= i < self.size]
        if wrong:
            raise ValueError(f"token ids {wrong[:10]} are outside the vocabulary of {self.size}")
        parts = [
            " ".join(self._texts[i] for i in run) if added else str(self.pieces.decode(list(run)))
            for added, run in groupby(ids, key=lambda i: i in self._texts)
        ]
        return " ".join(part for part in parts if part)


_KIND = {"legacy": False, "add_prefix_space": True, "add_eos_token": False}
"""Settings that decide pieces, and the only values that are known here."""


def _check_kind(config: Mapping[str, object], path: Path) -> None:
    other = [
        f"{name}={shown(config[name])} (known: {known})"
        for name, known in _KIND.items()
        if config.get(name) not in (known, None)
    ]
    if config.get("legacy") is None:
        other.append("no legacy, which older libraries took for true (known: False)")
    if other:
        raise ValueError(f"{path} has {', '.join(other)}; such a tokenizer is not known here")


def _added_tokens(config: Mapping[str, object], path: Path) -> dict[str, AddedToken]:
    """Added tokens of a ``tokenizer_config.json``."""
    further = config.get("additional_special_tokens")
    roles = [config.get(f"{role}_token") for role in ("bos", "eos", "unk", "pad")]
    named = {_text(one) for one in (*roles, *(further if isinstance(further, list) else ()))}
    listed = config.get("added_tokens_decoder")
    if not isinstance(listed, dict):
        raise ValueError(f"{path} has no added_tokens_decoder; save the tokenizer once more")
    found = {}
    for number, entry in listed.items():
        text = _text(entry)
        if not (text and isinstance(number, str) and number.isdigit()):
            raise ValueError(f"{path} has an added token that cannot be read: {shown(number)}")
        flags = cast(Mapping[str, object], entry)
        found[text] = AddedToken(
            int(number), bool(flags.get("rstrip")), bool(flags.get("lstrip")), text in named
        )
    return found


def _text(token: object) -> str:
    """The text of a token that is written out or described."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else ""
