"""Messages that users read are plain: "is not a number", never "is no number"."""

import ast
import re

import pytest

from tests.unit.test_house import FILES

MANNERED = re.compile(
    r"\b(is|are) no (?!more|longer|smaller|larger|fewer|better|worse)|\bis none of\b"
    r"|\b(holds?|names?|takes?|belongs to|makes?) no\b|\bgoes on\b|\bforetell|\bwhat tells\b",
    re.IGNORECASE,
)
IDIOMS = re.compile(r"\b(there|this|that) (is|are) no\b|\bso there is no\b", re.IGNORECASE)


def mannered(text):
    return MANNERED.search(IDIOMS.sub("", text)) is not None


def text_of(node):
    """A literal text, with a sign where a value is filled in; None for other nodes."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(value) or "~" for value in node.values)
    return None


def messages(module, tree):
    """Texts of a module; docstrings count where the command line shows them as help."""
    apart = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for value in node.values
    }
    if not module.startswith("litelvlm.analysis.cli."):
        apart |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = text_of(node)
        if text is not None and id(node) not in apart:
            yield node.lineno, text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("~ is no whole number", True),
        ("~ holds no config.json", True),
        ("the same command goes on", True),
        ("there is no folder ~; give one", False),
        ("the effect is no larger than chance", False),
        ("~ is not a whole number", False),
    ],
)
def test_what_counts_as_mannered(text, found):
    assert mannered(text) == found


def test_messages_are_plain():
    found = [
        (name, line, text)
        for name, file in FILES.items()
        for line, text in messages(name, ast.parse(file.read_text(encoding="utf-8")))
        if mannered(text)
    ]
    assert found == []
