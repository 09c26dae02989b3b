"""Where tokens lie in a conversation, counted from the first token after the image."""

from litelvlm.models.base import Conversation
from litelvlm.models.glamm.language.llama import seg_places
from litelvlm.models.glamm.prompting.prompts import full_prompt
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
