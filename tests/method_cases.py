"""Every method with the settings that it is tested under: one entry per method, for all tests."""

from dataclasses import dataclass

import pytest

from litelvlm.pruning import LayerPruner, get_pruner, list_pruners


@dataclass(frozen=True, kw_only=True)
class MethodCase:
    """What all tests need to know about one method.

    Attributes:
        scaled: Cues whose scale must not change the choice. Empty if it reads none, mixes patch
            tokens only, or reads a scale as a temperature.
        layer_scaled: The same inside the language model: one part of a ``LayerView``.
        equivariant: Permuted patches give the permuted choice: no place or index is in the rule.
        layer_equivariant: The same for the remaining visual tokens inside the language model.
        merging: Some setting always makes tokens of several.
        settings: Fields of each tested setting.
    """

    scaled: tuple[str, ...]
    layer_scaled: str = ""
    equivariant: bool = False
    layer_equivariant: bool = False
    merging: bool = False
    settings: tuple[dict, ...] = ({},)


METHODS: dict[str, MethodCase] = {
    "litelvlm": MethodCase(
        scaled=("text_embeds", "patch_embeds", "values"),
        equivariant=True,
        settings=(
            {},
            {"preset": "paper"},
            {
                "context": "cls_attention",
                "context_share": 0.5,
                "order": "raster",
                "positions": "original",
            },
            {
                "context": "value_norm",
                "direction": "highest",
                "similarity": "cosine",
                "overlap": "refill",
            },
        ),
    ),
    "low_similarity": MethodCase(scaled=("text_embeds", "patch_embeds"), equivariant=True),
    "high_similarity": MethodCase(
        scaled=("text_embeds", "patch_embeds"),
        equivariant=True,
        settings=({"similarity": "cosine"},),
    ),
    "value_path": MethodCase(
        scaled=("text_embeds", "value_path_embeds"),
        equivariant=True,
        settings=(
            {},
            {"readout": "surgery", "direction": "lowest"},
            {"readout": "clear_clip"},
        ),
    ),
    "value_path_grid": MethodCase(scaled=("value_path_embeds",), settings=({}, {"share": 0.5})),
    "trim": MethodCase(
        scaled=("text_embeds", "patch_embeds"),
        equivariant=True,
        merging=True,
        settings=({}, {"preset": "paper", "place": "median", "positions": "original"}),
    ),
    "cdpruner": MethodCase(
        scaled=("text_embeds", "patch_embeds", "projected"),
        equivariant=True,
        settings=({}, {"strength": 0.8}, {"direction": "highest"}),
    ),
    "divprune": MethodCase(scaled=("projected",), equivariant=True),
    "scope": MethodCase(
        scaled=("patch_tokens", "cls_attention"), equivariant=True, settings=({}, {"alpha": 0.0})
    ),
    "fastervlm": MethodCase(scaled=("cls_attention",), equivariant=True),
    "vispruner": MethodCase(
        scaled=("patch_tokens", "cls_attention"), settings=({}, {"important_share": 0.0})
    ),
    "visionzip": MethodCase(
        scaled=("cls_attention", "keys_mean"),
        merging=True,
        settings=(
            {},
            {
                "preset": "paper",
                "contextual_share": 0.5,
                "order": "raster",
                "positions": "original",
            },
            {"contextual_share": 0.0},
            {"cls_state": "left_out"},
        ),
    ),
    "prumerge_plus": MethodCase(
        scaled=(),
        merging=True,
        settings=(
            {},
            {"neighbours": 0, "place": "median", "order": "raster", "positions": "stretch"},
            {"attention": "tower"},
        ),
    ),
    "holov": MethodCase(
        scaled=("projected",),
        settings=(
            {},
            {"preset": "fixed", "stretches": 4},
            {"stretches": 100},
            {"crop": "square", "inside": "score", "diagonal": "left_out", "variance_weight": 1.0},
        ),
    ),
    "evtp_iv_like": MethodCase(scaled=("patch_tokens",), settings=({}, {"spatial_weight": 0.0})),
    "nuwa": MethodCase(
        scaled=("cls_attention", "late_states"),
        layer_scaled="attention",
        layer_equivariant=True,
        merging=True,
        settings=(
            {"preset": "stage1"},
            {"preset": "stage1", "salience": "attention_key_norm"},
            {"preset": "fixed", "stage1_only": True, "untouched": 1.0, "place": "median"},
            {},
            {"preset": "fixed", "layer": 1, "place": "median", "query_token": "mean_text"},
            {"drop_by": "text_cosine", "query_token": "mean_text"},
        ),
    ),
    "altp_like": MethodCase(
        scaled=("patch_tokens", "cls_attention"), settings=({}, {"compactness": 0.0})
    ),
    "tome": MethodCase(
        scaled=(),
        merging=True,
        settings=({}, {"preset": "fixed", "place": "median", "positions": "original"}),
    ),
    "avgpool": MethodCase(
        scaled=(), merging=True, settings=({}, {"place": "median", "positions": "original"})
    ),
    "bilinear": MethodCase(scaled=(), merging=True, settings=({"positions": "original"},)),
    "image_downsampling": MethodCase(
        scaled=(),
        merging=True,
        settings=({}, {"place": "median", "positions": "original"}),
    ),
    "value_norm": MethodCase(scaled=("values",), equivariant=True),
    "cls_cosine": MethodCase(scaled=("patch_tokens", "cls_token"), equivariant=True),
    "centre_distance": MethodCase(scaled=()),
    "with_uniform": MethodCase(
        scaled=("cls_attention",),
        settings=({}, {"of": "litelvlm", "share": 0.6}, {"of": "visionzip"}, {"of": "holov"}),
    ),
    "ivc_add_on": MethodCase(
        scaled=("cls_attention", "rotary_cosine", "rotary_sine"),
        settings=({}, {"of": "high_similarity", "share": 0.5}, {"of": "trim", "share": 0.3}),
    ),
    "restore": MethodCase(
        scaled=("patch_tokens", "cls_attention"),
        merging=True,
        settings=({}, {"of": "uniform", "share": 1.0}),
    ),
    "reverse": MethodCase(
        scaled=("cls_attention",), equivariant=True, settings=({}, {"of": "low_similarity"})
    ),
    "random": MethodCase(scaled=(), settings=({"seed": 3}, {"seed": 3, "frames": "whole"})),
    "uniform": MethodCase(scaled=(), settings=({"positions": "stretch"}, {"frames": "first"})),
    "mask_oracle": MethodCase(scaled=("coverage",), settings=({}, {"share": 1.0})),
    "box_oracle": MethodCase(scaled=("box",), settings=({}, {"share": 1.0, "margin": 0})),
    "inverse_mask_oracle": MethodCase(scaled=("coverage",)),
    "llm_attention": MethodCase(
        scaled=("llm_attention",),
        equivariant=True,
        settings=({}, {"layers": 0, "query_token": "last_prompt"}),
    ),
    "llm_gradient": MethodCase(scaled=("llm_gradient", "projected"), equivariant=True),
    "block_loo": MethodCase(scaled=("block_importance",), equivariant=True),
    **{
        name: MethodCase(scaled=(name,), equivariant=True)
        for name in (
            "external_similarity",
            "input_similarity",
            "received_attention",
            "tower_value_norm",
        )
    },
    "none": MethodCase(scaled=()),
    "fastv": MethodCase(
        scaled=(),
        layer_scaled="attention",
        layer_equivariant=True,
        settings=({}, {"layer": 3, "query_token": "mean_text", "positions": "stretch"}),
    ),
    "pyramiddrop": MethodCase(
        scaled=(),
        layer_scaled="attention",
        layer_equivariant=True,
        settings=(
            {},
            {"layers": (0, 1, 2, 3), "query_token": "seg"},
            {"preset": "matched"},
            {"preset": "matched", "ranked_at": "before"},
        ),
    ),
    "dart": MethodCase(
        scaled=(), layer_scaled="keys", settings=({}, {"image_pivots": 1, "text_pivots": 0})
    ),
    "sparsevlm": MethodCase(
        scaled=(),
        layer_scaled="attention",
        layer_equivariant=True,
        settings=({}, {"preset": "gap", "layers": (1, 2, 3)}, {"recycled": "sum"}),
    ),
    "sparsevlm_plus": MethodCase(
        scaled=(),
        layer_scaled="attention",
        layer_equivariant=True,
        settings=({}, {"head_share": 1.0}),
    ),
    "ivc_prune": MethodCase(
        scaled=(),
        layer_scaled="rotary",
        layer_equivariant=True,
        settings=(
            {},
            {"preset": "early", "coordinate_share": 0.5},
            {"preset": "paper", "seed_share": 1.0, "budget_is": "retained"},
            {"preset": "matched"},
        ),
    ),
    "lvlm_csp_like": MethodCase(
        scaled=(),
        layer_scaled="attention",
        layer_equivariant=True,
        settings=({}, {"layers": (2, 3), "query_token": "mean_text"}),
    ),
    "ivc_layer_add_on": MethodCase(
        scaled=(),
        layer_scaled="attention",
        layer_equivariant=True,
        settings=(
            {},
            {"of": "sparsevlm_plus", "share": 0.9},
            {"of": "dart", "share": 0.0},
            {"of": "sparsevlm", "share": 0.3},
            {"of": "lvlm_csp_like", "share": 0.5},
        ),
    ),
    "layer_reverse": MethodCase(
        scaled=(),
        layer_scaled="attention",
        layer_equivariant=True,
        settings=({}, {"of": "sparsevlm"}, {"of": "lvlm_csp_like", "query_token": "last"}),
    ),
}
CASES = [(name, options) for name, case in METHODS.items() for options in case.settings]


def drops_inside(name: str, options: dict) -> bool:
    """Whether the case drops tokens inside the language model; Nuwa may leave that out."""
    return issubclass(list_pruners()[name], LayerPruner) and not getattr(
        get_pruner(name, **options), "stage1_only", False
    )


def label(name: str, options: dict) -> str:
    """Name of a case in test reports."""
    return f"{name}-{'-'.join(map(str, options.values()))}"


INSIDE = [case for case in CASES if drops_inside(*case)]
# The unpruned model refuses every budget but one, so it is held to little.
BEFORE = [case for case in CASES if case not in INSIDE and case[0] != "none"]


def parametrised(cases: list[tuple[str, dict]]) -> pytest.MarkDecorator:
    """A test for each of some cases."""
    return pytest.mark.parametrize(("name", "options"), cases, ids=[label(*case) for case in cases])
