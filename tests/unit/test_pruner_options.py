"""Names, fields, presets and descriptions of methods."""

import dataclasses

import pytest

from litelvlm.pruning import CUES, get_pruner, list_pruners


def test_every_class_describes_itself():
    for name, cls in list_pruners().items():
        assert cls.name == name
        assert cls.summary
        assert set(cls.stage.split(", ")) <= {"vit", "pre_projector", "post_projector", "llm"}
        assert cls.needs <= set(CUES)
        assert cls.origin.confidence in ("A", "B", "C", "-")
        assert (
            (cls.origin.source == "this library")
            == (cls.origin.licence == "-")
            == (cls.origin.confidence == "-")
        )
        assert cls.text_guided or "text_embeds" not in cls.needs
        for preset in cls.presets:
            assert get_pruner(name, preset=preset) != get_pruner(name)
        with pytest.raises(dataclasses.FrozenInstanceError):
            get_pruner(name).order = "raster"


@pytest.mark.parametrize(
    ("spelling", "preset", "options"),
    [
        ("litelvlm(order=raster)", "faithful", {"order": "raster"}),
        ("litelvlm:paper(similarity=cosine)", "paper", {"similarity": "cosine"}),
        ("pyramiddrop(layers=(1, 2))", "faithful", {"layers": (1, 2)}),
        ("reverse(of=value_norm)", "faithful", {"of": "value_norm"}),
    ],
)
def test_a_name_may_be_written_as_on_the_command_line(spelling, preset, options):
    name = spelling.split("(")[0].split(":")[0]
    assert get_pruner(spelling) == get_pruner(name, preset, **options)
    held = get_pruner("reverse", of="high_similarity(similarity=cosine)").of
    assert held.similarity == "cosine"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("litelvlm:paper", "gap"), "the preset of litelvlm is given twice"),
        (("litelvlm(order",), "is not of the form name, name:preset"),
        (("litelvlm(order)",), "are not of the form field=value"),
    ],
)
def test_a_wrong_spelling_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        get_pruner(*given)
    with pytest.raises(ValueError, match="order of litelvlm is given twice"):
        get_pruner("litelvlm(order=raster)", order="native")


def test_a_reversed_method_reads_the_text_if_the_method_does():
    assert get_pruner("reverse", of="low_similarity").text_guided
    assert not get_pruner("reverse", of="value_norm").text_guided


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("litelvm", {}, "unknown pruner 'litelvm'; did you mean 'litelvlm'"),
        ("trim", {"preset": "papers"}, "unknown trim preset 'papers'; did you mean 'paper'"),
        ("random", {"sed": 1}, "unknown random field 'sed'; did you mean 'seed'"),
        ("random", {"seed": -1}, r"seed -1 is not in \[0, inf\)"),
        ("random", {"seed": "one"}, "seed 'one' is not allowed; give a whole number"),
        ("random", {"seed": True}, "seed True is not allowed"),
        ("uniform", {"order": "rastr"}, "unknown order 'rastr'; did you mean 'raster'"),
        ("uniform", {"positions": "gap"}, "unknown positions 'gap'"),
        ("trim", {"sign": 0}, "sign 0 is not allowed; choose from -1, 1"),
        ("litelvlm", {"context_share": -0.1}, r"context_share -0.1 is not in \[0, 1\)"),
        ("litelvlm", {"context_share": 1.0}, r"context_share 1.0 is not in \[0, 1\)"),
        ("litelvlm", {"context_share": float("nan")}, r"context_share nan is not in \[0, 1\)"),
        (
            "litelvlm",
            {"context_share": "half"},
            "context_share 'half' is not allowed; give a number or None",
        ),
        ("mask_oracle", {"share": 0.0}, r"share 0.0 is not in \(0, 1\]"),
        ("cdpruner", {"strength": 1.0}, r"strength 1.0 is not in \[0, 1\)"),
        ("visionzip", {"contextual_share": 1.0}, "contextual_share 1.0"),
        ("vispruner", {"important_share": -0.1}, "important_share -0.1"),
        ("scope", {"alpha": -1.0}, "alpha -1.0"),
        ("evtp_iv_like", {"spatial_weight": float("inf")}, "spatial_weight inf"),
        ("holov", {"stretches": 0}, "stretches 0"),
        ("holov", {"stretches": 8, "crop": "square"}, "stretches 8 is not a square number"),
        ("holov", {"variance_weight": 2.0}, r"variance_weight 2.0 is not in \[0, 1\]"),
        ("prumerge_plus", {"neighbours": -1}, "neighbours -1"),
        ("nuwa", {"untouched": 1.5}, r"untouched 1.5 is not in \[0, 1\]"),
        ("altp_like", {"compactness": -1.0}, "compactness -1.0"),
        ("box_oracle", {"share": 0.0}, r"share 0.0 is not in \(0, 1\]"),
        ("box_oracle", {"margin": -1}, r"margin -1 is not in \[0, inf\)"),
        ("with_uniform", {"share": 1.0}, r"share 1.0 is not in \[0, 1\)"),
        ("with_uniform", {"of": {"order": "raster"}}, "has no name; give what config"),
        ("restore", {"share": 0.0}, r"share 0.0 is not in \(0, 1\]"),
        ("restore", {"of": "tome"}, "restore cannot take of=ToMe.* it works at stage 'vit'"),
        ("restore", {"of": "trim"}, "it merges tokens, and what it dropped is already inside them"),
        (
            "with_uniform",
            {"of": "restore"},
            "attention is calibrated for exactly the tokens it makes",
        ),
        ("with_uniform", {"of": "nuwa"}, "it works at stage 'pre_projector, llm'"),
        (
            "reverse",
            {"of": "litelvlm"},
            "of=LiteLVLM.* rank the tokens by one score; take litelvlm\\(direction=highest\\)$",
        ),
        ("reverse", {"of": "divprune"}, "take for example of='value_norm'"),
        ("reverse", {"of": "trim"}, r"; take trim\(sign=1\)$"),
        ("reverse", {"of": "mask_oracle"}, "; take inverse_mask_oracle$"),
        ("reverse", {"of": "fastv"}, "drops tokens inside the language model; take layer_reverse$"),
        (
            "layer_reverse",
            {"of": "fastervlm"},
            "layer_reverse cannot take of=FasterVLM.* "
            "it does not drop tokens inside the language model",
        ),
        (
            "layer_reverse",
            {"of": "dart"},
            "of=Dart.* does not rank the tokens by one score; take for example of='fastv'",
        ),
        ("layer_reverse", {"of": "ivc_layer_add_on"}, "; reverse the method it holds: of='fastv'"),
        ("reverse", {"of": "value_nrm"}, "unknown pruner 'value_nrm'; did you mean 'value_norm'"),
    ],
)
def test_wrong_names_and_values(name, options, words):
    with pytest.raises(ValueError, match=words):
        get_pruner(name, **options)


def test_gap_is_a_preset_of_every_method():
    for name in list_pruners():
        pruner = get_pruner(name, preset="gap")
        assert (pruner.order, pruner.positions) == ("raster", "original")
    assert get_pruner("visionzip", preset="gap").combine == get_pruner("visionzip").combine


def test_fixed_presets_are_in_raster_order():
    fixed = {
        name: get_pruner(name, "fixed")
        for name, cls in list_pruners().items()
        if "fixed" in cls.presets
    }
    assert {"litelvlm", "visionzip", "prumerge_plus", "holov"} <= set(fixed)
    assert all(pruner.order == "raster" for pruner in fixed.values() if pruner.stage != "llm")
