"""Each scorer beside lmms-eval's own function for the same task, on 200 made-up answers.

Where both differ, the test says why and holds the difference to that reason.
"""

import copy

import numpy as np
import pytest
from lmms_eval.api.metrics import exact_match_hf_evaluate
from lmms_eval.tasks.mmbench.mmbench_evals import MMBench_Evaluator
from lmms_eval.tasks.mme import utils as mme
from lmms_eval.tasks.pope import utils as pope
from lmms_eval.tasks.scienceqa import utils as scienceqa
from lmms_eval.tasks.seedbench import utils as seedbench
from lmms_eval.tasks.textvqa import utils as textvqa
from lmms_eval.tasks.vizwiz_vqa import utils as vizwiz
from lmms_eval.tasks.vqav2 import utils as vqav2

from litelvlm.metrics.understanding import (
    circular_accuracy,
    exact_match,
    mme_scores,
    read_option,
    read_yes_no,
    score_answer,
    vqa_accuracy,
    yes_no_scores,
)

N = 200
WORDS = [
    "red", "Red.", "the red car", "a dog", "two", "2", "1,000", "10:30", "yes", "No", "isnt",
    "don't", "theyre", "t-shirt", "black/white", "unanswerable", "left", "on the left", "3.5",
    "U.S.", "none", "an apple, a pear", "o'clock", "\"stop\"", "it's red", "men's room", "",
    "50%", "#1", "ten", "hot dog", "sports ball", "  wood  ", "snow\n",
]  # fmt: skip
OPTIONS = ["a red car", "a blue boat", "a green tree", "a dog"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def drawn(rng, pool, n=N):
    return [pool[i] for i in rng.integers(len(pool), size=n)]


def ten_answers(rng):
    few = drawn(rng, WORDS, 3)
    return drawn(rng, few, 10)


def test_gqa(rng):
    for said, truth in zip(drawn(rng, WORDS), drawn(rng, WORDS), strict=True):
        # Theirs leaves blanks at the ends, but strips answers before it scores them.
        theirs = exact_match_hf_evaluate(
            [said.strip()], [truth.strip()], ignore_case=True, ignore_punctuation=True
        )
        assert exact_match(said, truth) == theirs["exact_match"]


@pytest.mark.parametrize(
    ("theirs", "as_dictionaries"),
    [
        (textvqa.textvqa_process_results, False),
        (vizwiz.vizwiz_vqa_process_results, False),
        (vqav2.vqav2_process_results, True),
    ],
)
def test_vqa(rng, theirs, as_dictionaries):
    values = set()
    for said in drawn(rng, WORDS):
        answers = ten_answers(rng)
        if as_dictionaries:
            given = [{"answer": one, "answer_id": i} for i, one in enumerate(answers)]
        else:
            given = list(answers)
        doc = {"answers": copy.deepcopy(given), "question_id": 1}
        values.add(vqa_accuracy(said, answers))
        assert vqa_accuracy(said, answers) == pytest.approx(theirs(doc, [said])["exact_match"])
    assert len(values) > 3


def test_pope(rng):
    plain = ["yes", "no", "Yes", "No"]
    wordy = ["Yes, there is.", "No.", "There is none", "I think so", "yes it is"]
    rows, said, truth, wordy_right = [], [], [], 0
    for number, answer in enumerate([*drawn(rng, plain, 150), *drawn(rng, wordy, 50)]):
        right = drawn(rng, ["yes", "no"], 1)[0]
        found = pope.pope_process_results({"answer": right, "question_id": number}, [answer])
        own = score_answer("yes_no", answer, [right]).score
        if answer in plain:
            assert own == found["pope_accuracy"]["score"]
            rows.append(found)
            said.append(read_yes_no(answer))
            truth.append(right)
        else:
            # Theirs compares the whole answer, so a sentence is never right.
            assert found["pope_accuracy"]["score"] == 0.0
            wordy_right += own
    assert wordy_right > 10
    own = yes_no_scores(said, truth)
    for name in ("accuracy", "precision", "recall", "f1_score"):
        theirs = getattr(pope, f"pope_aggregate_{name}")([r[f"pope_{name}"] for r in rows])
        assert own[name.removesuffix("_score")] == pytest.approx(theirs)
    # Their yes-ratio is that of the truths, not of the answers.
    theirs = pope.pope_aggregate_yes_ratio([row["pope_yes_ratio"] for row in rows])
    assert theirs == pytest.approx(np.mean([right == "yes" for right in truth]))
    assert own["yes_ratio"] == pytest.approx(np.mean([one == "yes" for one in said]))


def test_mme(rng):
    answers = ["yes", "No", "Yes.", "yes it is", "No, it is not", "maybe", "it is not", "nothing"]
    results, right, category, image = [], [], [], []
    for number, answer in enumerate(drawn(rng, answers)):
        truth = drawn(rng, ["Yes", "No"], 1)[0]
        kind, name = ["count", "OCR"][number // 100], f"{number // 2}.png"
        doc = {"answer": truth, "category": kind, "question_id": name}
        found = mme.mme_process_results(doc, [answer])["mme_perception_score"]
        own = score_answer("mme", answer, [truth.lower()])
        if answer == "nothing":
            # Theirs finds "no" in the first four letters of any word.
            assert mme.parse_pred_ans(answer) == "no"
            assert own.state == "unreadable"
            found["score"] = own.score
        assert own.score == found["score"]
        results.append(found)
        right.append(bool(own.score))
        category.append(kind)
        image.append(name)
    assert mme_scores(right, category, image)["perception"] == pytest.approx(
        mme.mme_aggregate_results(results)
    )


def test_scienceqa(rng):
    forms = ["A", "b", "C.", "D. a dog", "B. a blue boat", "E", "Z. none", ""]
    others = ["(A)", "The answer is B.", "a green tree"]
    differ = 0
    for said in [*drawn(rng, forms, 150), *drawn(rng, others, 50)]:
        index = int(rng.integers(4))
        doc = {"choices": OPTIONS, "answer": index}
        theirs = scienceqa.sqa_process_results(doc, [said])["exact_match"]
        own = score_answer("option", said, ["ABCD"[index]], OPTIONS).score
        if said in others:
            # Theirs reads a letter alone or one with a period.
            assert theirs == 0.0
            differ += own
        else:
            assert own == theirs, said
    assert differ > 5


def test_seedbench(rng):
    forms = ["A", "b", "C.", "D. a dog", "B a blue boat", "E", "dog"]
    for said in drawn(rng, forms):
        truth = drawn(rng, list("ABCD"), 1)[0]
        doc = {"answer": truth, "data_type": "image", "question_id": 1}
        theirs = seedbench.seed_process_result(doc, [said])["seed_image"]
        right = seedbench.seed_aggregation_result([theirs])
        own = score_answer("option", said, [truth], OPTIONS).score
        if said == "dog":
            # Theirs takes any first letter: "dog" is D. Ours finds "a dog" in no word of it.
            assert right == (truth == "D")
            assert own == 0.0
        else:
            assert own == right, said


def test_mmbench(rng):
    forms = ["A", "B.", "(C)", "D", "a dog", "a blue boat", "C. a green tree", "no idea"]
    judge, results, right, base = MMBench_Evaluator(), [], [], []
    options = dict(zip("ABCD", OPTIONS, strict=True))
    for number in range(100):
        for turn in range(2):
            said, truth = drawn(rng, forms, 1)[0], drawn(rng, list("ABCD"), 1)[0]
            item = {"index": number + 1 + turn * 10**6, "answer": truth, "prediction": said}
            results.append(item | options | {"category": "x", "question": "?"})
            own = read_option(said, OPTIONS)
            assert own == (judge.can_infer(said, dict(options)) or ""), said
            right.append(own == truth)
            base.append(str(number + 1))
    overall, _, _ = judge.eval_result(results, eval_method="static")
    assert circular_accuracy(right, base) == pytest.approx(overall)
