"""Embeddings -> matches: reads the catalogue, keeps its photos' vectors, finds the most similar items."""

from dprnet.gallery.address import is_server
from dprnet.gallery.card import CARD, GalleryCard
from dprnet.gallery.gallery import Gallery
from dprnet.gallery.items import Catalogue, Item, Problem, read_catalogue
from dprnet.gallery.tables import CatalogueLimits

__all__ = [
    "CARD",
    "Catalogue",
    "CatalogueLimits",
    "Gallery",
    "GalleryCard",
    "Item",
    "Problem",
    "is_server",
    "read_catalogue",
]
