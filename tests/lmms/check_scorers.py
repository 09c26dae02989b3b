"""Each scorer beside lmms-eval's own function for the same task, on 200 made-up answers.

Where both differ, the test says why and holds the difference to that reason.
"""

import copy

import numpy as np
import pytest
from lmms_eval.api.metrics import exact_match_hf_evaluate
from lmms_eval.tasks._task_utils.vqa_eval_metric import EvalAIAnswerProcessor
from lmms_eval.tasks.mmbench.mmbench_evals import MMBench_Evaluator
from lmms_eval.tasks.mme import utils as mme
from lmms_eval.tasks.pope import utils as pope
from lmms_eval.tasks.scienceqa import utils as scienceqa
from lmms_eval.tasks.seedbench import utils as seedbench
from lmms_eval.tasks.textvqa import utils as textvqa
from lmms_eval.tasks.vizwiz_vqa import utils as vizwiz
from lmms_eval.tasks.vqav2 import utils as vqav2

from litelvlm.metrics.understanding import (
    exact_match,
    normalise_answer,
    read_option,
    read_pope,
    score_answer,
    vqa_accuracy,
)
from tests.question_totals import circular_accuracy, mme_scores, yes_no_scores

N = 200
WORDS = [
    "red", "Red.", "the red car", "a dog", "two", "2", "1,000", "10:30", "yes", "No", "isnt",
    "don't", "theyre", "t-shirt", "black/white", "unanswerable", "left", "on the left", "3.5",
    "U.S.", "none", "an apple, a pear", "o'clock", "\"stop\"", "it's red", "men's room", "",
    "50%", "#1", "ten", "hot dog", "sports ball", "  wood  ", "snow\n", "red,blue", "red, blue",
    "1,000 m/s", "1,,000", "whats", "what's", "yall'll", "y'allll", "yall'd've", "y'alld've",
    "y'all'dve", "ow's'at", "'ows'at", "'ow'sat", "somebody'd", "somebodyd", "Im", "let's", "she's",
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
    ("theirs", "tidying", "as_dictionaries"),
    [
        (textvqa.textvqa_process_results, "evalai", False),
        (vizwiz.vizwiz_vqa_process_results, "evalai", False),
        (vqav2.vqav2_process_results, "vqa", True),
    ],
)
def test_vqa(rng, theirs, tidying, as_dictionaries):
    values = set()
    for said in drawn(rng, WORDS):
        answers = ten_answers(rng)
        if as_dictionaries:
            given = [{"answer": one, "answer_id": i} for i, one in enumerate(answers)]
        else:
            given = list(answers)
        doc = {"answers": copy.deepcopy(given), "question_id": 1}
        own = vqa_accuracy(said, answers, tidying)
        values.add(own)
        assert own == pytest.approx(theirs(doc, [said])["exact_match"])
    assert len(values) > 3


def pope_scores(answers, truth):
    """Both sides' totals of POPE."""
    rows = [
        pope.pope_process_results({"answer": right, "question_id": number}, [answer])
        for number, (answer, right) in enumerate(zip(answers, truth, strict=True))
    ]
    theirs = {
        name: getattr(pope, f"pope_aggregate_{name}")([row[f"pope_{name}"] for row in rows])
        for name in ("accuracy", "precision", "recall", "f1_score", "yes_ratio")
    }
    ours = yes_no_scores([read_pope(answer)[0] for answer in answers], truth)
    return ours | {"f1_score": ours["f1"]}, theirs


@pytest.mark.parametrize("tidying", ["vqa", "evalai"])
def test_every_word_is_tidied_as_theirs_is(tidying):
    theirs = EvalAIAnswerProcessor()
    for word in {*WORDS, *EvalAIAnswerProcessor.CONTRACTIONS}:
        if ",," in word and tidying == "vqa":
            # VQA v2's script looks for single commas between digits, theirs for any number.
            assert normalise_answer(word) == "1 000"
            continue
        plain = word.replace("\n", " ").strip()
        as_vqa = theirs.process_digit_article(theirs.process_punctuation(plain))
        assert normalise_answer(word, tidying) == (as_vqa if tidying == "vqa" else theirs(word))


def test_pope_on_plain_answers(rng):
    said, truth = drawn(rng, ["yes", "no", "Yes", "No"]), drawn(rng, ["yes", "no"])
    ours, theirs = pope_scores(said, truth)
    for name in ("accuracy", "precision", "recall", "f1_score"):
        assert ours[name] == pytest.approx(theirs[name])
    # Their yes-ratio is that of the truths, not of the answers.
    assert theirs["yes_ratio"] == pytest.approx(np.mean([right == "yes" for right in truth]))
    assert ours["yes_ratio"] == pytest.approx(np.mean([one.lower() == "yes" for one in said]))


def test_pope_on_sentences(rng):
    pool = {"Yes, there is.": "yes", "No.": "no", "There is none": "yes", "I think so": "yes",
            "It is not there": "no", "NO": "yes", "": "yes"}  # fmt: skip
    for answer in drawn(rng, list(pool)):
        truth = drawn(rng, ["yes", "no"], 1)[0]
        found = pope.pope_process_results({"answer": truth, "question_id": 1}, [answer])
        own = score_answer("yes_no", answer, [truth])
        # The authors' rule gives every answer a reading.
        assert own.score == float(pool[answer] == truth)
        # Theirs compares the whole answer in lower case, so only "NO" can be right.
        assert found["pope_accuracy"]["score"] == float(answer == "NO" and truth == "no")
        clear = answer in ("Yes, there is.", "No.", "It is not there")
        assert own.state == ("empty" if not answer else "read" if clear else "unreadable")


def test_mme(rng):
    answers = ["yes", "No", "Yes.", "yes it is", "No, it is not", "maybe", "it is not", "nothing",
               "There is no dog", "The answer is yes.", "Not at all", "y", "n"]  # fmt: skip
    results, right, category, image = [], [], [], []
    for number, answer in enumerate(drawn(rng, answers)):
        truth = drawn(rng, ["Yes", "No"], 1)[0]
        kind, name = ["count", "OCR"][number // 100], f"{number // 2}.png"
        doc = {"answer": truth, "category": kind, "question_id": name}
        found = mme.mme_process_results(doc, [answer])["mme_perception_score"]
        own = score_answer("mme", answer, [truth.lower()])
        if answer in ("y", "n"):
            # Theirs takes one letter for the word; the authors' script does not.
            assert mme.parse_pred_ans(answer) == {"y": "yes", "n": "no"}[answer]
            assert own.state == "unreadable"
            found["score"] = own.score
        else:
            assert (own.read or "other") == mme.parse_pred_ans(answer)
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


@pytest.mark.parametrize(
    ("said", "ours", "theirs"),
    [
        ("b", "B", ""),  # lower-case letters are no options of theirs
        ("(c)", "C", ""),
        ("a dogma", "", "D"),  # theirs finds texts inside words
        ("A dog", "D", "A"),  # theirs reads letters before texts
        ("Answer: B!", "B", ""),
    ],
)
def test_mmbench_differs_in_case_word_edges_and_the_order_of_rules(said, ours, theirs):
    options = dict(zip("ABCD", OPTIONS, strict=True))
    assert read_option(said, OPTIONS) == ours
    assert (MMBench_Evaluator().can_infer(said, options) or "") == theirs
