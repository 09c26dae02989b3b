"""Templates and tokens: whatever an expression says, the prompt keeps its shape."""

from functools import cache

from hypothesis import strategies as st

from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX, GlammTokenizer
from tests.glamm_parts import ANSWERS, EMBEDDED, QUESTIONS, conversation, full_prompt

STYLES = ("official", "library")
TRICKS = ("[SEG]", "[seg]", "<image>", "<im_start>", "</s>", "<p>", "{}", "{0}", "%s", "USER:",
          "ASSISTANT:", "\u2581", "\u0130", "\ufeff", "\u200b", "the", "  ", "\n",
          "\x00")  # fmt: skip
WORDS = st.lists(st.sampled_from(TRICKS) | st.text(max_size=6), max_size=5).map(" ".join)
CONVERSATIONS = st.tuples(
    st.lists(WORDS, max_size=4),
    st.integers(-1, len(QUESTIONS)),
    st.integers(-1, len(ANSWERS)),
).map(list)
TEXTS = WORDS


@cache
def tokenizer(style: str) -> GlammTokenizer:
    """The bundled vocabulary with one way to cut prompts."""
    return GlammTokenizer.from_pretrained(EMBEDDED["embedded"]).with_style(style)


def check_conversation(case: list) -> None:
    """One place for the image, one [SEG] per expression, and no other control token."""
    expressions, question, answer = case
    try:
        made = conversation(expressions, question, answer)
    except ValueError as error:
        assert len(str(error)) < 300 + sum(map(len, expressions)) * 8
        return
    prompt = full_prompt(made)
    for style in STYLES:
        reader = tokenizer(style)
        ids = reader.encode(prompt)
        assert ids.count(IMAGE_INDEX) == 1
        assert ids.count(reader.seg_id) == len(expressions)
        assert (ids[0], ids.count(reader.bos_id)) == (reader.bos_id, 1)
        assert ids.count(reader.eos_id) == len(expressions)
        place = ids.index(IMAGE_INDEX)
        around = [reader.special_text.get(ids[place + step]) for step in (-1, 1)]
        assert around == ["<im_start>", "<im_end>"]
        assert all(i == IMAGE_INDEX or 0 <= i < reader.vocab_size for i in ids)


def check_tokens(case: str) -> None:
    """Any text has ids, and the image's place splits it into parts of their own."""
    for style in STYLES:
        reader = tokenizer(style)
        ids = reader.encode(case)
        parts = [reader.encode(part)[1:] for part in case.split("<image>")]
        joined = parts[0] + [i for part in parts[1:] for i in (IMAGE_INDEX, *part)]
        assert ids == [reader.bos_id, *joined]
        assert isinstance(reader.decode(ids), str)
