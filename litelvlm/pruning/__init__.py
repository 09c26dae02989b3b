"""Pruning methods: cues in, a selection of visual tokens out.

>>> import torch
>>> cues = Cues.from_tensors(cls_attention=torch.tensor([0.1, 0.4, 0.2, 0.3]))
>>> get_pruner("fastervlm").select(cues, budget=2).indices.tolist()
[1, 3]
"""

from litelvlm.pruning.base import Origin, Pruner, ScorePruner
from litelvlm.pruning.budgets import ModelSizes, check_budget, tokens_from_ratio
from litelvlm.pruning.cue_table import CUES, Cue
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.greedy import GreedyPruner
from litelvlm.pruning.layers.base import LayerPlan, LayerPruner, LayerTrace
from litelvlm.pruning.merging import MergingPruner
from litelvlm.pruning.methods.litelvlm import LiteLVLM
from litelvlm.pruning.methods.reverse import Reverse
from litelvlm.pruning.ranking import highest, lowest, stable_order
from litelvlm.pruning.registry import get_pruner, list_pruners, load_plugin, register_pruner
from litelvlm.pruning.scoring import context_scores, text_similarity
from litelvlm.pruning.selection import RawSelection, Selection
from litelvlm.pruning.vit import VitView
from litelvlm.pruning.wrapping import AddOn, Wrapper

__all__ = [
    "CUES",
    "AddOn",
    "Cue",
    "Cues",
    "GreedyPruner",
    "LayerPlan",
    "LayerPruner",
    "LayerTrace",
    "LiteLVLM",
    "MergingPruner",
    "ModelSizes",
    "Origin",
    "Pruner",
    "RawSelection",
    "Reverse",
    "ScorePruner",
    "Selection",
    "VitView",
    "Wrapper",
    "check_budget",
    "context_scores",
    "get_pruner",
    "highest",
    "list_pruners",
    "load_plugin",
    "lowest",
    "register_pruner",
    "stable_order",
    "text_similarity",
    "tokens_from_ratio",
]
