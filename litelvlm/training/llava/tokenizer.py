"""The miniature LLaVA's tokenizer: one token for each word of its world."""

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from litelvlm.data.understanding.scenes import question_words

IMAGE_TOKEN = "<image>"  # noqa: S105 - no password
SPECIAL = ("<unk>", "<s>", "</s>", "<pad>", IMAGE_TOKEN)
_MARKS = ("?", ".", ":", ",")


def image_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """Id of the placeholder of a visual token."""
    found: int = tokenizer.get_vocab()[IMAGE_TOKEN]
    return found


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of the rendered questions' lower-case words; a word always has the same id."""
    entries = (*SPECIAL, *_MARKS, *question_words())
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(entries)}, "<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", SPECIAL.index("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",  # noqa: S106 - no password
        bos_token="<s>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        extra_special_tokens={"image_token": IMAGE_TOKEN},
        model_max_length=1536,
        padding_side="left",
    )
