"""Command lines of any words: they are understood, or refused with exit 2 and a short message."""

import contextlib
import io
from collections.abc import Iterator
from unittest import mock

from hypothesis import strategies as st

from litelvlm.analysis import cli
from litelvlm.analysis.cli.actions.study import configure
from litelvlm.analysis.cli.options import Common
from litelvlm.analysis.cli.verbs.study import StudyVerb
from litelvlm.analysis.studies import STUDIES

OPTIONS = ("--model", "--data", "--split", "--limit", "--seed", "--device", "--out", "--methods",
           "--budgets", "--set", "--protocol", "--seeds", "--shard", "--engine", "--workers",
           "--help", "--verbose", "-v", "--report", "--budget", "--method", "--version",
           "--")  # fmt: skip
WORDS = st.sampled_from(OPTIONS) | st.sampled_from(
    ["embedded", "sweep", "all", "48", "0.5", "-1", "1e9", "nan", "null", "2/8", "random",
     "sweep.budgets=[48]", "litelvlm", "a.png", "the red one", "", "=", "--x=1", "\udc80"]
) | st.text(max_size=8)  # fmt: skip
LINES = st.tuples(
    st.sampled_from([*cli.VERBS, "", "help"]) | st.text(max_size=6), st.lists(WORDS, max_size=6)
).map(list)
VALUES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["null", "[]", "[1, 2]", "{a: b}", "1e400", "2026-02-30", "&a [*a]",
                     "!!python/x", "- 1", "0x10", "yes", ".inf", "-.nan", "[litelvlm]", "[[1]]",
                     "1:2:3"]),
    st.integers().map(str),
    st.floats().map(str),
)  # fmt: skip
FIELDS = ("budgets", "methods", "seeds", "seed", "limit", "chunk_size", "images", "pool", "x", "")
SETTINGS = st.tuples(st.sampled_from(STUDIES), st.sampled_from(FIELDS), VALUES).map(list)


@contextlib.contextmanager
def nothing_runs() -> Iterator[None]:
    """Every verb parses and checks its arguments, and then does nothing."""
    with contextlib.ExitStack() as stack:
        for verb in cli.VERBS.values():
            stack.enter_context(mock.patch.object(verb, "run", return_value=0))
        stack.enter_context(mock.patch.object(Common, "load_plugins"))
        yield


def check_line(case: list) -> None:
    """Exit 0 or 2, no traceback, and a message that fits a screen."""
    verb, words = case
    out, error = io.StringIO(), io.StringIO()
    with nothing_runs(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = cli.main([verb, *words])
        except SystemExit as stopped:
            code = stopped.code
    assert code in (0, 2), f"exit {code}"
    assert "Traceback" not in error.getvalue()
    assert len(error.getvalue()) < 20_000
    assert code == 0 or error.getvalue() or out.getvalue()


def check_setting(case: list) -> None:
    """Any value of any field of a study becomes a configuration or a refusal in one line."""
    study, field, value = case
    try:
        configure(StudyVerb(names=(study,), set=(f"{study}.{field}={value}",)), study)
    except ValueError as error:
        assert "\n" not in cli.one_line(error)
        assert len(cli.one_line(error)) < 2_000
