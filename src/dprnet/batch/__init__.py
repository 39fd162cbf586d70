"""Many videos: each searched once, in processes that may die, with results that survive."""

from dprnet.batch.config import BatchConfig
from dprnet.batch.ledger import read_results
from dprnet.batch.runner import Outcome, run_batch
from dprnet.batch.videos import find_videos

__all__ = ["BatchConfig", "Outcome", "find_videos", "read_results", "run_batch"]
