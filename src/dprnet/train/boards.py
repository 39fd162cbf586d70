"""A training run on TensorBoard: every logged value, and now and then pictures of what the detector finds.

    tensorboard --logdir out/train

The events lie in ``boards`` inside the run's folder; :mod:`dprnet.train.watch` makes the pictures. log.csv stays the
record of a run; where TensorBoard is not installed, that is said once and the run goes on without.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dprnet.core.records import Image

logger = logging.getLogger(__name__)

BOARDS = "boards"


class Boards:
    """The events of one run.

    Args:
        folder: of the run.
        step: from which the run goes on; what an earlier try logged beyond it is hidden.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.warning("no TensorBoard: pip install 'dprnet[train]' to see curves; log.csv is written all the same")
            return
        self._writer = SummaryWriter(str(folder / BOARDS), purge_step=step + 1 if step else None)

    def row(self, row: Mapping[str, float]) -> None:
        """Log the values of a row at its ``step``."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(row["step"]))
        self._writer.flush()

    def pictures(self, step: int, pictures: Mapping[str, Image]) -> None:
        """Log pictures, uint8 (H, W, 3), by name."""
        if self._writer is None:
            return
        for name, image in pictures.items():
            self._writer.add_image(name, image, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._writer is not None:
            self._writer.close()
