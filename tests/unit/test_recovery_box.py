"""The equations of the recovery step on the page: the code does what each line of it says."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_litelvlm import random_cues

from litelvlm import get_pruner

PAGE = Path(__file__).parents[2] / "docs" / "ablations.md"
BOX = PAGE.read_text(encoding="utf-8").split("<!-- recovery -->")[1].split("<!-- end")[0]


def lowest(values, count):
    return set(np.argsort(values, kind="stable")[:count].tolist())


def norms(cues, logits):
    weights = np.exp(logits - logits.max())
    return weights / weights.sum() * np.linalg.norm(cues.values.numpy(), axis=1)


def cosines(cues):
    keys, query = cues.keys.numpy(), cues.query.numpy()
    return keys @ query / np.linalg.norm(keys, axis=1) / np.linalg.norm(query)


# Each line of the docstring beside the same thing in NumPy: from what is known to a new quantity.
STEPS = {
    "s_ti = <t, Z_i>": lambda cues, R, T, known: (
        cues.text_embeds.numpy() @ cues.patch_embeds.numpy().T
    ),
    "N_t = the floor(R / T) patches with the lowest s_ti": lambda cues, R, T, known: [
        lowest(row, R // T) for row in known["s_ti"]
    ],
    "N_t = the R patches with the lowest s_ti; floor(R / 2) if T = 1": lambda cues, R, T, known: [
        lowest(row, R // 2 if T == 1 else R) for row in known["s_ti"]
    ],
    "U = union of all N_t": lambda cues, R, T, known: set.union(*known["N_t"]),
    "U = intersection of all N_t": lambda cues, R, T, known: set.intersection(*known["N_t"]),
    "a_i = |softmax_i(cos(q, K_i) / sqrt(D)) V_i|": lambda cues, R, T, known: norms(
        cues, cosines(cues) / np.sqrt(len(cues.query))
    ),
    "a_i = |softmax_i(<q, K_i> / sqrt(D)) V_i|": lambda cues, R, T, known: norms(
        cues, cues.keys.numpy() @ cues.query.numpy() / np.sqrt(len(cues.query))
    ),
    "C = the R - |U| patches outside U with the highest a_i": lambda cues, R, T, known: [
        i for i in np.argsort(-known["a_i"], kind="stable").tolist() if i not in known["U"]
    ][: R - len(known["U"])],
    "keep C by falling a_i, then U in raster order": lambda cues, R, T, known: [
        *known["C"],
        *sorted(known["U"]),
    ],
}


def rules():
    """Both rules as lines by number; the second replaces some lines of the first."""
    code, paper = (
        dict(re.findall(r"^(\d)\. (.+)$", block, flags=re.MULTILINE))
        for block in re.findall(r"```text\n(.+?)```", BOX, flags=re.DOTALL)
    )
    return {"litelvlm": code, "litelvlm:paper": code | paper}


def follow(lines, cues, budget, n_texts):
    known = {}
    for number in sorted(lines):
        line = lines[number]
        name = line.split(" = ")[0] if " = " in line else "kept"
        known[name] = STEPS[line](cues, budget, n_texts, known)
    return known["kept"]


def test_every_line_of_the_box_is_tested():
    assert {line for lines in rules().values() for line in lines.values()} == set(STEPS)
    assert sorted(rules()["litelvlm"]) == list("123456")


@pytest.mark.parametrize(
    ("rule", "preset"), [("litelvlm", "faithful"), ("litelvlm:paper", "paper")]
)
@given(seed=st.integers(0, 10_000), n_texts=st.integers(1, 4), budget=st.integers(1, 20))
@settings(deadline=None, max_examples=40)
def test_the_code_keeps_what_the_box_says(rule, preset, seed, n_texts, budget):
    cues = random_cues(seed, n_texts)
    kept = get_pruner("litelvlm", preset).select(cues, budget).indices.tolist()
    assert kept == follow(rules()[rule], cues, budget, n_texts)
