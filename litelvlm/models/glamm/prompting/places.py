"""Where tokens lie in a conversation, counted from the first token after the image."""

from litelvlm.models.base import Conversation
from litelvlm.models.glamm.language.llama import seg_places
from litelvlm.models.glamm.prompting.prompts import QUESTIONS, full_prompt
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX, GlammTokenizer
from litelvlm.pruning.layers.base import QueryToken


def query_places(
    tokenizer: GlammTokenizer, conversation: Conversation, which: QueryToken
) -> list[int]:
    """Query tokens of a conversation, counted from the first token after the image.

    ``LayerPruner`` explains the choices. "raters" gives every token: they are chosen later, from
    their embeddings.
    """
    prompt = full_prompt(conversation)
    ids = tokenizer.encode(prompt)
    first = ids.index(IMAGE_INDEX) + 1
    if which == "last":
        places = [len(ids) - 1]
    elif which == "last_prompt":
        # Expressions are in lower case and cannot spell the role.
        question, role, _ = prompt.partition(" ASSISTANT:")
        places = [len(tokenizer.encode(question + role)) - 1]
    elif which == "seg":
        places = list(seg_places(ids, tokenizer.seg_id))
    else:
        places = list(range(first, len(ids)))
    return [place - first for place in places]


def expression_places(tokenizer: GlammTokenizer, conversation: Conversation) -> list[int]:
    """Last token of each turn's expression, counted from the first token after the image.

    Raises:
        ValueError: If a question follows no template, so that its expression cannot be found.
    """
    first = tokenizer.encode(full_prompt(conversation)).index(IMAGE_INDEX) + 1
    places = []
    for turn, (expression, question) in enumerate(
        zip(conversation.expressions, conversation.questions, strict=True)
    ):
        before = [
            template.partition("{}")[0]
            for template in QUESTIONS
            if template.format(expression) == question
        ]
        if not before:
            raise ValueError(
                f"the question {question!r} follows no template; build it with model.conversation()"
            )
        # In every template a space follows, so the words after an expression do not change its
        # tokens.
        after = question[len(before[0]) + len(expression) :] + " ASSISTANT:"
        so_far = conversation.until(turn, conversation.answers[:turn])
        until = full_prompt(so_far).removesuffix(after)
        places.append(len(tokenizer.encode(until)) - 1 - first)
    return places
