"""GLaMM's tokenizer: sentencepiece and seven added tokens, split as by the original tokenizer.

The mask embedding is read from the state just before [SEG], so the exact pieces around it matter.
The original slow tokenizer strips the blanks next to an added token. It encodes each stretch
between special tokens on its own, with sentencepiece's leading blank: "it is [SEG].</s>" gives
``▁is``, ``[SEG]``, ``▁.``, ``</s>``. Today's library defaults differ, so this module reads the same
files itself.
"""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import get_args

from sentencepiece import SentencePieceProcessor

from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.shown import shown
from litelvlm.models.glamm.options import Tokenisation
from litelvlm.models.glamm.prompting.prompts import IMAGE_TOKEN
from litelvlm.names import check_name

IMAGE_INDEX = -200
ADDED_TOKENS = ("<im_start>", "<im_end>", "<bbox>", "<point>", "[SEG]", "<p>", "</p>")
MAX_LENGTH = 1536


class GlammTokenizer:
    """Text to token ids and back, as the published checkpoint was trained with.

    Args:
        model: Content of ``tokenizer.model`` (sentencepiece).
        added_tokens: Added token to id; the ids follow the base pieces without a gap.
        style: "official", or "library": blanks beside an added token stay, and only the first
            stretch of a prompt gets sentencepiece's leading blank.

    Attributes:
        added_tokens: As given, ordered by id.
        vocab_size: Base pieces and added tokens.
        unk_id, bos_id, eos_id: Ids of ``<unk>``, ``<s>``, ``</s>``.
        pad_id: Same as ``unk_id``, as in the official code.
        seg_id: Id of ``[SEG]``.

    Raises:
        ValueError: If the model cannot be parsed, an added token is missing, or the ids have a gap.

    Source: LiteLVLM and GLaMM official code (transformers before 4.28, slow ``LlamaTokenizer``).
    """

    def __init__(
        self, model: bytes, added_tokens: Mapping[str, int], style: str = "official"
    ) -> None:
        check_name(style, get_args(Tokenisation), "tokenisation")
        self.model, self.style = model, style
        self.pieces = SentencePieceProcessor()
        try:
            self.pieces.LoadFromSerializedProto(model)
        except (RuntimeError, OSError) as error:
            raise ValueError(f"tokenizer.model is not a sentencepiece model: {error}") from error
        self.added_tokens = dict(sorted(added_tokens.items(), key=lambda item: item[1]))
        base = int(self.pieces.get_piece_size())
        self.vocab_size = base + len(self.added_tokens)
        if [*self.added_tokens.values()] != list(range(base, self.vocab_size)):
            raise ValueError(
                f"added token ids must run from {base} without a gap, got "
                f"{shown(self.added_tokens)}"
            )
        missing = [token for token in ADDED_TOKENS if token not in self.added_tokens]
        if missing:
            raise ValueError(
                f"the tokenizer lacks the added tokens {missing}; "
                "take the files of a GLaMM checkpoint"
            )
        self.unk_id, self.bos_id, self.eos_id = (
            self.pieces.unk_id(),
            self.pieces.bos_id(),
            self.pieces.eos_id(),
        )
        self.pad_id = self.unk_id
        self.seg_id = self.added_tokens["[SEG]"]
        control = {self.pieces.id_to_piece(i): i for i in (self.unk_id, self.bos_id, self.eos_id)}
        self.special_tokens = control | self.added_tokens
        self.special_text = {i: token for token, i in self.special_tokens.items()} | {
            IMAGE_INDEX: IMAGE_TOKEN
        }
        longest_first = sorted(self.special_tokens, key=len, reverse=True)
        self.splitter = re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    def with_style(self, style: str) -> "GlammTokenizer":
        """The same vocabulary with another way to cut prompts."""
        return GlammTokenizer(self.model, self.added_tokens, style)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "GlammTokenizer":
        """Read ``tokenizer.model`` and ``added_tokens.json`` of a checkpoint folder.

        Raises:
            FileNotFoundError: If one of the two is not there.
            ValueError: If one of them cannot be parsed.
        """
        paths = [Path(folder) / "tokenizer.model", Path(folder) / "added_tokens.json"]
        absent = [path.name for path in paths if not path.is_file()]
        if absent:
            raise FileNotFoundError(
                f"{folder} has no {' and no '.join(absent)}; both come with a GLaMM checkpoint"
            )
        try:
            added = read_json(paths[1].read_bytes())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{paths[1]} is not valid JSON: {shown(str(error))}") from error
        if not isinstance(added, dict) or not all(type(i) is int for i in added.values()):
            raise ValueError(
                f"{paths[1]} is not a table of tokens and their ids; "
                "take the file of a GLaMM checkpoint"
            )
        return cls(paths[0].read_bytes(), added)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the four files of the published layout."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        plain = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
        roles = {"bos_token": self.bos_id, "eos_token": self.eos_id, "unk_token": self.unk_id}
        named = {role: {"content": self.special_text[i], **plain} for role, i in roles.items()}
        config: dict[str, object] = {
            "add_bos_token": True,
            "add_eos_token": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": MAX_LENGTH,
            "pad_token": None,
            "padding_side": "right",
            "sp_model_kwargs": {},
            "tokenizer_class": "LlamaTokenizer",
            **{role: {"__type": "AddedToken", **token} for role, token in named.items()},
        }
        contents = {
            "added_tokens.json": dict(sorted(self.added_tokens.items())),
            "special_tokens_map.json": {**named, "pad_token": self.special_text[self.pad_id]},
            "tokenizer_config.json": config,
        }
        (folder / "tokenizer.model").write_bytes(self.model)
        for name, content in contents.items():
            (folder / name).write_text(
                json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8"
            )

    def encode(self, prompt: str) -> list[int]:
        """Token ids of a prompt: ``<s>`` first, every ``<image>`` as the placeholder -200.

        The parts left and right of an ``<image>`` are encoded on their own.
        """
        first, *rest = (self._encode_part(part) for part in prompt.split(IMAGE_TOKEN))
        return [self.bos_id, *first, *(i for ids in rest for i in (IMAGE_INDEX, *ids))]

    def _encode_part(self, text: str) -> list[int]:
        pieces = self.splitter.split(text)  # special tokens at the odd places
        if self.style == "official":
            for i in range(1, len(pieces), 2):
                if pieces[i] in self.added_tokens:
                    pieces[i - 1], pieces[i + 1] = pieces[i - 1].rstrip(), pieces[i + 1].lstrip()
        ids: list[int] = []
        for i, piece in enumerate(pieces):
            if i % 2:
                ids.append(self.special_tokens[piece])
            elif piece:
                ids.extend(self._encode_stretch(piece, bare=self.style == "library" and i > 0))
        return ids

    def _encode_stretch(self, text: str, bare: bool) -> list[int]:
        """Pieces of text without special tokens.

        Args:
            text: The text.
            bare: Whether to leave out sentencepiece's leading blank, by the library's own trick.
        """
        if not bare:
            return list(self.pieces.encode(text, out_type=int))
        shield = "<unk>"
        return list(self.pieces.encode(shield + text, out_type=int))[
            len(self.pieces.encode(shield, out_type=int)) :
        ]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of token ids with special tokens as text, without the ``<s>`` that ``encode`` adds.

        The result encodes to the same ids when they came from ``encode``.

        Raises:
            ValueError: If an id is neither in the vocabulary nor the image placeholder.
        """
        ids = list(ids)
        wrong = [i for i in ids if i != IMAGE_INDEX and not 0 <= i < self.vocab_size]
        if wrong:
            raise ValueError(
                f"token ids {wrong[:10]} are outside the vocabulary of {self.vocab_size}"
            )
        if ids[:1] == [self.bos_id]:
            ids = ids[1:]
        text, after_added = "", False
        for special, run in groupby(ids, key=lambda i: i in self.special_text):
            if not special:
                text += " " * after_added + self.pieces.decode(list(run))
                after_added = False
                continue
            for i in run:
                added = self.special_text[i] in self.added_tokens
                # A blank beside an added token is for readers; encode strips it.
                text += " " * (added and bool(text) and text[-1] not in ">]") + self.special_text[i]
                after_added = added
        return text
