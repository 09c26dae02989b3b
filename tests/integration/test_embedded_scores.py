"""Held-out scores of the miniature are those of single calls."""

from PIL import Image

from litelvlm import get_pruner
from litelvlm.metrics import intersection_union
from litelvlm.training.glamm.evaluate import ScoredCondition, evaluate


def test_scores_are_the_pixels_of_single_calls(model, data):
    uniform, sample = get_pruner("uniform"), data[0]
    table = [
        ScoredCondition("unpruned"),
        ScoredCondition("uniform", (uniform,), 16),
        ScoredCondition("blank", blank=True),
    ]
    scores = evaluate(model, [sample], table)
    assert scores.intersection.shape == (len(sample.expressions), 3)
    grey = Image.new("RGB", sample.image().size, (127, 127, 127))
    for line, expression in list(enumerate(sample.expressions))[:2]:
        calls = ((sample.image(), None, None), (sample.image(), uniform, 16), (grey, None, None))
        for column, (picture, pruner, budget) in enumerate(calls):
            found = model.segment(picture, expression.sent, pruner, budget)
            both = intersection_union(found.mask[0].numpy(), sample.mask(expression))
            # A logit within float noise of 0 may fall on the other side.
            assert abs(scores.intersection[line, column] - both.intersection) <= 3
            assert abs(scores.union[line, column] - both.union) <= 3
    assert scores.image.tolist() == [0] * len(sample.expressions)
