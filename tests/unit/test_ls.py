"""The table of methods that the command line prints is the classes' own description."""

from litelvlm import list_pruners
from litelvlm.analysis.cli import main


def test_methods_are_listed_with_their_columns(capsys):
    assert main(["ls", "methods"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == [
        "name", "stage", "text-guided", "cues", "order", "positions", "flash-safe", "source", "licence", "confidence",
        "presets", "keeps",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines] == list(list_pruners())
    starts = [heading.index(word) for word in heading.split()]
    # Columns are aligned: every cell ends with two spaces before the next begins.
    assert all(line[start - 2 : start].isspace() for line in lines for start in starts[1:])
    trim = next(line for line in lines if line.startswith("trim "))
    cells = [trim[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
    assert cells == [
        "trim", "pre_projector", "yes", "patch_embeds, patch_tokens, text_embeds", "raster, mean last", "contiguous",
        "yes", "arXiv 2409.10994", "Apache-2.0", "A", "paper", list_pruners()["trim"].summary,
    ]  # fmt: skip
    inside, wrapper = (
        next(line for line in lines if line.startswith(name))
        for name in ("dart ", "ivc_layer_add_on ")
    )
    assert inside[starts[3] : starts[4]].strip() == "layer's keys, layer's states"
    assert wrapper[starts[3] : starts[4]].strip() == "layer's rotary, those of the other method"


def test_the_whole_listing_keeps_one_sentence_per_method(capsys):
    assert main(["ls"]) == 0
    text = capsys.readouterr().out
    for name, method in list_pruners().items():
        assert any(
            line.startswith(f"{name} ") and line.endswith(f"  {method.summary}")
            for line in text.splitlines()
        )
