"""The least that every study can be run with on the bundled miniature."""

SMALL = {
    "reversal": {"limit": 2, "shifts": 2, "blobs": 2, "pool": 8, "random_seeds": 1},
    "mechanism": {"limit": 2, "pool": 8, "neuron_images": 2},
    "sink": {"limit": 2, "random_seeds": 1},
    "sink_causal": {"limit": 2, "budgets": (16,)},
    "emergence": {"limit": 2},
    "importance": {
        "images": 2,
        "checked": 1,
        "sampled": 1,
        "integration_steps": 2,
        "coalitions": 8,
        "mean_images": 2,
    },
    "faithfulness": {"images": 2, "steps": 2, "removals": 2, "coalitions": 8},
    "sweep": {"methods": ("litelvlm", "random", "fastv"), "budgets": (48,), "seeds": 2, "limit": 2},
    "ablations": {
        "requests": ("falsify", "protocol"),
        "images": 2,
        "random_seeds": 1,
        "official_seeds": 1,
        "pool": 4,
    },
    "video": {
        "methods": ("litelvlm", "random"),
        "points": ("V3",),
        "seeds": 1,
        "clips": 2,
        "expressions": 1,
    },
    "quantisation": {
        "methods": ("litelvlm", "random", "llm_attention"),
        "budgets": (48,),
        "seeds": 2,
        "images": 2,
    },
    "finetuning": {
        "methods": ("litelvlm", "uniform"),
        "trained_seeds": 2,
        "steps": 1,
        "warmup": 1,
        "batch": 1,
        "draws": 1,
        "images": 2,
    },
}
