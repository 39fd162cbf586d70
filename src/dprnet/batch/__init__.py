"""Many videos, each searched once, in processes that may die, with results that survive; and catalogues likewise."""

from dprnet.batch.catalogues import embed_catalogue
from dprnet.batch.config import BatchConfig, CatalogueConfig
from dprnet.batch.ledger import read_results
from dprnet.batch.runner import Outcome, run_batch
from dprnet.batch.videos import find_videos

__all__ = ["BatchConfig", "CatalogueConfig", "Outcome", "embed_catalogue", "find_videos", "read_results", "run_batch"]
