"""The README's moving picture names its methods and says what is drawn."""

import numpy as np

from litelvlm.analysis.pages.animation import ANIMATED_METHODS, draw_frame


def test_every_frame_names_the_method_of_each_column_and_the_expression_of_each_row():
    picture = np.zeros((6, 8, 3))
    rows = [
        (
            text,
            {(name, 8): (picture, iou + place / 10) for place, name in enumerate(ANIMATED_METHODS)},
        )
        for text, iou in (("the cup", 0.1), ("the dog", 0.5))
    ]
    figure = draw_frame(rows, 8, 144)
    axes = np.array(figure.axes).reshape(2, len(ANIMATED_METHODS))
    assert [ax.get_title() for ax in axes[0]] == list(ANIMATED_METHODS.values())
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["“the cup”", "“the dog”"]
    assert [ax.get_xlabel() for ax in axes[1]] == [f"IoU {0.5 + n / 10:.2f}" for n in range(4)]
    assert figure.get_suptitle() == "8 of 144 visual tokens"
