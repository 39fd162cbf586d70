"""Picking (paper, section 3.2): filter, one pool per coarse class, Eq. 4, clustering, the best view of each garment."""

from dprnet.pick.clustering import cluster, cosine_dissimilarity
from dprnet.pick.config import PickConfig
from dprnet.pick.picking import pick
from dprnet.pick.stream import PickEvent, PickStream

__all__ = ["PickConfig", "PickEvent", "PickStream", "cluster", "cosine_dissimilarity", "pick"]
