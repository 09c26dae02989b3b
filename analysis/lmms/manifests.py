"""Models of this project as lmms-eval finds them (entry-point group ``lmms_eval.models``)."""

from lmms_eval.models.registry_v2 import ModelManifest

_MODELS = "litelvlm.analysis.lmms.models"

GLAMM = ModelManifest("litelvlm_glamm", simple_class_path=f"{_MODELS}.LmmsGlamm")
"""GLaMM, which answers with masks."""
VLM = ModelManifest("litelvlm_vlm", simple_class_path=f"{_MODELS}.LmmsVlm")
"""Any vision-language model that ``litelvlm.prune`` supports."""
