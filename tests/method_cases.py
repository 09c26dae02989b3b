"""Every method with the settings that it is tested under: one list for all tests that hold methods to something."""

import pytest

from litelvlm.pruning import LayerPruner, get_pruner, list_pruners

CASES = [
    ("litelvlm", {}),
    ("litelvlm", {"preset": "paper"}),
    (
        "litelvlm",
        {
            "context": "cls_attention",
            "context_share": 0.5,
            "order": "raster",
            "positions": "original",
        },
    ),
    (
        "litelvlm",
        {
            "context": "value_norm",
            "direction": "highest",
            "similarity": "cosine",
            "overlap": "refill",
        },
    ),
    ("low_similarity", {}),
    ("high_similarity", {"similarity": "cosine"}),
    ("trim", {}),
    ("trim", {"preset": "paper", "place": "median", "positions": "original"}),
    ("cdpruner", {}),
    ("cdpruner", {"strength": 0.8}),
    ("divprune", {}),
    ("scope", {}),
    ("scope", {"alpha": 0.0}),
    ("fastervlm", {}),
    ("vispruner", {}),
    ("vispruner", {"important_share": 0.0}),
    ("visionzip", {}),
    (
        "visionzip",
        {"preset": "paper", "contextual_share": 0.5, "order": "raster", "positions": "original"},
    ),
    ("visionzip", {"contextual_share": 0.0}),
    ("prumerge_plus", {}),
    (
        "prumerge_plus",
        {"neighbours": 0, "place": "median", "order": "raster", "positions": "stretch"},
    ),
    ("holov", {}),
    ("holov", {"preset": "fixed", "stretches": 4}),
    ("holov", {"stretches": 100}),
    ("evtp_iv_like", {}),
    ("evtp_iv_like", {"spatial_weight": 0.0}),
    ("nuwa", {"preset": "stage1"}),
    ("nuwa", {"preset": "fixed", "stage1_only": True, "untouched": 1.0, "place": "median"}),
    ("altp_like", {}),
    ("altp_like", {"compactness": 0.0}),
    ("tome", {}),
    ("tome", {"preset": "fixed", "place": "median", "positions": "original"}),
    ("avgpool", {}),
    ("avgpool", {"place": "median", "positions": "original"}),
    ("bilinear", {"positions": "original"}),
    ("value_norm", {}),
    ("cls_cosine", {}),
    ("centre_distance", {}),
    ("with_uniform", {}),
    ("with_uniform", {"of": "litelvlm", "share": 0.6}),
    ("with_uniform", {"of": "visionzip"}),
    ("with_uniform", {"of": "holov"}),
    ("ivc_add_on", {}),
    ("ivc_add_on", {"of": "high_similarity", "share": 0.5}),
    ("ivc_add_on", {"of": "trim", "share": 0.3}),
    ("restore", {}),
    ("restore", {"of": "uniform", "share": 1.0}),
    ("reverse", {}),
    ("reverse", {"of": "low_similarity"}),
    ("random", {"seed": 3}),
    ("uniform", {"positions": "stretch"}),
    ("mask_oracle", {}),
    ("mask_oracle", {"share": 1.0}),
    ("box_oracle", {}),
    ("box_oracle", {"share": 1.0, "margin": 0}),
    ("inverse_mask_oracle", {}),
    ("llm_attention", {}),
    ("llm_attention", {"layers": 0, "query_token": "last_prompt"}),
    ("llm_gradient", {}),
    ("block_loo", {}),
    ("none", {}),
    ("fastv", {}),
    ("fastv", {"layer": 3, "query_token": "mean_text", "positions": "stretch"}),
    ("pyramiddrop", {}),
    ("pyramiddrop", {"layers": (0, 1, 2, 3), "query_token": "seg"}),
    ("pyramiddrop", {"preset": "matched"}),
    ("dart", {}),
    ("dart", {"image_pivots": 1, "text_pivots": 0}),
    ("sparsevlm", {}),
    ("sparsevlm", {"preset": "gap", "layers": (1, 2, 3)}),
    ("sparsevlm_plus", {}),
    ("sparsevlm_plus", {"head_share": 1.0}),
    ("ivc_prune", {}),
    ("ivc_prune", {"preset": "early", "coordinate_share": 0.5}),
    ("ivc_prune", {"preset": "paper", "seed_share": 1.0, "budget_is": "retained"}),
    ("ivc_prune", {"preset": "matched"}),
    ("lvlm_csp_like", {}),
    ("lvlm_csp_like", {"layers": (2, 3), "query_token": "mean_text"}),
    ("ivc_layer_add_on", {}),
    ("ivc_layer_add_on", {"of": "sparsevlm_plus", "share": 0.9}),
    ("ivc_layer_add_on", {"of": "dart", "share": 0.0}),
    ("ivc_layer_add_on", {"of": "sparsevlm", "share": 0.3}),
    ("ivc_layer_add_on", {"of": "lvlm_csp_like", "share": 0.5}),
    ("layer_reverse", {}),
    ("layer_reverse", {"of": "sparsevlm"}),
    ("layer_reverse", {"of": "lvlm_csp_like", "query_token": "last"}),
    ("nuwa", {}),
    ("nuwa", {"preset": "fixed", "layer": 1, "place": "median", "query_token": "mean_text"}),
]


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
