"""The miniature's two tokenizers, learned from its world's sentences, in the published layouts."""

import json
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from litelvlm.models.glamm.prompting.prompts import ANSWERS, QUESTIONS, conversation, full_prompt
from litelvlm.models.glamm.prompting.tokenizer import GlammTokenizer

# Openings of CLIP captions; together with the questions they make the text towers' plain words.
OPENINGS = (
    "a photo of {}",
    "an image with {}",
    "a picture of {}",
    "there is {}",
    "{} in this image",
    "{}",
)


def corpus(vocabulary: Sequence[str]) -> list[str]:
    """Sentences that hold every word of the templates and of a world, many times over."""
    words = [*vocabulary, "and", "a", "an", "photo", "with", "object"]
    sentences = [opening.format(word) for opening in OPENINGS for word in words]
    for i, _ in enumerate(QUESTIONS):
        sentences += [full_prompt(conversation([word], i, i % len(ANSWERS))) for word in words]
    return [
        s.replace("<im_start><image><im_end>", "image").replace("[SEG]", "").replace("</s>", " ")
        for s in sentences
    ]


def load_or_make(
    folder: Path, shipped: Path, vocabulary: Sequence[str], pieces: tuple[int, int]
) -> tuple[CLIPTokenizer, GlammTokenizer]:
    """Read both tokenizers; an empty folder is filled from shipped files or learned from words.

    Args:
        folder: Used as it is if it is there, so that resumed training keeps its words.
        shipped: The checkpoint of the same world, if it is there.
        vocabulary: Words to learn from when nothing is shipped.
        pieces: Entries of CLIP's and of LLaMA's vocabulary.
    """
    if not folder.exists() and (shipped / "clip").is_dir():
        GlammTokenizer.from_pretrained(shipped).save_pretrained(folder / "llama")
        CLIPTokenizer.from_pretrained(shipped / "clip").save_pretrained(folder / "clip")
    if not folder.exists():
        make_clip_tokenizer(folder / "clip", corpus(vocabulary), pieces[0])
        make_llama_tokenizer(folder / "llama", corpus(vocabulary), pieces[1])
    return CLIPTokenizer.from_pretrained(folder / "clip"), GlammTokenizer.from_pretrained(
        folder / "llama"
    )


def make_clip_tokenizer(
    folder: Path, sentences: Iterable[str], pieces: int = 1200
) -> CLIPTokenizer:
    """Learn byte-pair merges, write them in CLIP's layout (two files) and load them.

    Every byte is in the vocabulary, alone and as a word's end, so no text is unknown. Equal counts
    are merged in an order that differs from run to run, which is why the shipped files are part of
    the recipe and not made anew.
    """
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # ByteLevel marks a leading blank; CLIP splits on blanks instead.
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), learner.pre_tokenizer]
    )
    trainer = trainers.BpeTrainer(vocab_size=pieces, end_of_word_suffix="</w>", show_progress=False)
    learner.train_from_iterator(sentences, trainer)
    merges = [
        tuple(m) if not isinstance(m, str) else tuple(m.split())
        for m in json.loads(learner.to_str())["model"]["merges"]
    ]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    parts = [*alphabet, *(c + "</w>" for c in alphabet), *("".join(m) for m in merges)]
    vocab = {
        piece: i
        for i, piece in enumerate(dict.fromkeys([*parts, "<|startoftext|>", "<|endoftext|>"]))
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    ends = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    }
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        **ends,
        "pad_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
    return tokenizer


def make_llama_tokenizer(
    folder: Path, sentences: Iterable[str], pieces: int = 700
) -> GlammTokenizer:
    """Learn sentencepiece pieces with byte fallback; add GLaMM's seven tokens in official order."""
    folder.mkdir(parents=True, exist_ok=True)
    model = BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentence.replace("\n", " ") for sentence in sentences),
        model_writer=model,
        model_type="bpe",
        vocab_size=pieces,
        hard_vocab_limit=False,
        byte_fallback=True,
        # As LLaMA's: text is left as it is, so a newline stays one and falls back to its byte.
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    return GlammTokenizer.create(folder / "tokenizer.model", folder)
