"""Embeddings -> matches: reads the catalogue, keeps its photos' vectors, finds the most similar items."""

from dprnet.gallery.address import is_server, shown
from dprnet.gallery.card import CARD, GalleryCard
from dprnet.gallery.config import IndexConfig, SearchKind
from dprnet.gallery.decision import MatchingConfig, decide, matching_of
from dprnet.gallery.doctor import Finding, examine
from dprnet.gallery.gallery import Gallery
from dprnet.gallery.items import Catalogue, Item, Problem, read_catalogue
from dprnet.gallery.live import switch
from dprnet.gallery.searching import Answers
from dprnet.gallery.server_search import check_searches
from dprnet.gallery.tables import CatalogueLimits

__all__ = [
    "CARD",
    "Answers",
    "Catalogue",
    "CatalogueLimits",
    "Finding",
    "Gallery",
    "GalleryCard",
    "IndexConfig",
    "Item",
    "MatchingConfig",
    "Problem",
    "SearchKind",
    "check_searches",
    "decide",
    "examine",
    "is_server",
    "matching_of",
    "read_catalogue",
    "shown",
    "switch",
]
