"""What a request of lmms-eval asks of generation: honoured, refused or named in the log."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_LOG = logging.getLogger(__name__)
_LENGTH = 16
_GREEDY = frozenset(("do_sample", "temperature", "num_beams", "top_p", "top_k"))


@dataclass(frozen=True)
class Generation:
    """How one answer is generated; decoding is greedy.

    Attributes:
        max_new_tokens: Length of the answer in tokens.
        until: Texts at the first of which the answer is cut.
    """

    max_new_tokens: int = _LENGTH
    until: tuple[str, ...] = ()

    def cut(self, answer: str) -> str:
        """The answer up to the first stop, without blanks at the ends."""
        ends = [answer.find(stop) for stop in self.until]
        return answer[: min((end for end in ends if end >= 0), default=len(answer))].strip()


def generation_of(options: Mapping[str, object]) -> Generation:
    """The options of a request whose answer is words.

    Other options than ``until``, ``max_new_tokens`` and those of greedy decoding are named in the
    log, each once, and so is a missing length.

    Args:
        options: As lmms-eval hands them over.

    Raises:
        ValueError: If they ask for sampling or beams, or a value is of no use.
    """
    check_greedy(options)
    if "max_new_tokens" not in options:
        _tell_once(f"a request does not set max_new_tokens; its answer ends after {_LENGTH} tokens")
    longest = options.get("max_new_tokens", _LENGTH)
    if isinstance(longest, bool) or not isinstance(longest, int) or longest < 1:
        raise ValueError(f"max_new_tokens is {longest!r}, allowed are whole numbers from 1")
    _tell(options, frozenset(("max_new_tokens", "until")), "is not known here and is left out")
    return Generation(longest, _stops(options.get("until")))


def check_mask_options(options: Mapping[str, object]) -> None:
    """The options of a request whose answer is a mask; those about words are named in the log.

    Raises:
        ValueError: If they ask for sampling or beams.
    """
    check_greedy(options)
    # Every request has these two, and a mask has no words that they could change.
    _tell(options, frozenset(("max_new_tokens", "until")), "does not apply to a mask")


def check_greedy(options: Mapping[str, object]) -> None:
    """Refuse options under which the same request could get another answer.

    Raises:
        ValueError: Naming the option.
    """
    warm = options.get("temperature")
    sampled = options.get("do_sample")
    if sampled is None:
        sampled = isinstance(warm, int | float) and warm > 0
    beams = options.get("num_beams")
    if sampled or (isinstance(beams, int) and beams > 1):
        raise ValueError(
            f"decoding is greedy here, and the request has do_sample={options.get('do_sample')}, "
            f"temperature={warm}, num_beams={beams}; pass "
            "--gen_kwargs do_sample=False,temperature=0,num_beams=1"
        )


def _stops(value: object) -> tuple[str, ...]:
    several = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(several, list | tuple) or not all(isinstance(one, str) for one in several):
        raise ValueError(f"until is {value!r}, allowed are a text and a list of texts")
    return tuple(filter(None, several))


def _tell(options: Mapping[str, object], known: frozenset[str], why: str) -> None:
    for name in options.keys() - known - _GREEDY:
        _tell_once(f"the generation option {name}={options[name]!r} {why}")


@lru_cache(maxsize=256)
def _tell_once(told: str) -> None:
    _LOG.warning("%s", told)
