"""The flow: the one place that joins the stages. ``search`` reads like the paper's figure 2."""

from dprnet.pipeline.indexing import Indexed, index, index_catalogue, index_with
from dprnet.pipeline.search import VideoToShop

__all__ = ["Indexed", "VideoToShop", "index", "index_catalogue", "index_with"]
