"""Scores of predicted masks: pixels are counted once, and every score is made of counts."""

from litelvlm.metrics.frames import FrameScores as FrameScores
from litelvlm.metrics.frames import frame_scores as frame_scores
from litelvlm.metrics.grefcoco import EMPTY_BELOW as EMPTY_BELOW
from litelvlm.metrics.grefcoco import GREFCOCO_SCORES as GREFCOCO_SCORES
from litelvlm.metrics.grefcoco import grefcoco_scores_of_sums as grefcoco_scores_of_sums
from litelvlm.metrics.grefcoco import grefcoco_summands as grefcoco_summands
from litelvlm.metrics.matching import MatchedScores as MatchedScores
from litelvlm.metrics.matching import match_objects as match_objects
from litelvlm.metrics.matching import merge_masks as merge_masks
from litelvlm.metrics.pixels import IGNORE as IGNORE
from litelvlm.metrics.pixels import Overlap as Overlap
from litelvlm.metrics.pixels import PixelCounts as PixelCounts
from litelvlm.metrics.pixels import TargetPixels as TargetPixels
from litelvlm.metrics.pixels import count_pixels as count_pixels
from litelvlm.metrics.pixels import intersection_union as intersection_union
from litelvlm.metrics.pixels import object_pixels as object_pixels
from litelvlm.metrics.pixels import scored_target as scored_target
from litelvlm.metrics.scores import THRESHOLDS as THRESHOLDS
from litelvlm.metrics.scores import ciou as ciou
from litelvlm.metrics.scores import giou as giou
from litelvlm.metrics.scores import iou as iou
