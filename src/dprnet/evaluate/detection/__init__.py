"""How well garments are found and their views judged: COCO's average precision, its splits, the scoring branches."""

from dprnet.evaluate.detection.branches import BranchFigures, branch_figures
from dprnet.evaluate.detection.figures import DetectionFigures, detection_figures, evaluate_detection
from dprnet.evaluate.detection.precision import ap50, coco_precision
from dprnet.evaluate.detection.viewpoints import front_back

__all__ = [
    "BranchFigures",
    "DetectionFigures",
    "ap50",
    "branch_figures",
    "coco_precision",
    "detection_figures",
    "evaluate_detection",
    "front_back",
]
