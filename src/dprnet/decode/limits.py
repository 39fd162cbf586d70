"""What one video may cost before we refuse it."""

from __future__ import annotations

from pydantic import Field

from dprnet.core.config import Settings


class DecodeLimits(Settings):
    """Limits of one video; beyond one of them decoding ends with ``LimitExceeded`` and ``limit:<name>``.

    With ``clip`` it ends there as well, but the frames before it stand, and the video counts as partial.
    """

    max_bytes: int = Field(32 << 30, gt=0)  # ours: a day of compressed 1080p
    max_duration_s: float = Field(6 * 3600.0, gt=0)  # ours: a long live stream
    max_pixels: int = Field(8192 * 4352, gt=0)  # ours: 8K, with the padding codecs add
    max_frames_examined: int = Field(2_000_000, gt=0)  # ours: six hours at 90 frames a second
    max_decode_s: float = Field(3600.0, gt=0)  # ours: processor seconds of the decoder
    max_wall_s: float = Field(3600.0, gt=0)  # ours: seconds we wait for the decoder (not it for us)
    max_silence_s: float = Field(60.0, gt=0)  # ours: a decoder that gives no sign for so long hangs and is killed
    max_memory_bytes: int = Field(8 << 30, ge=1 << 30)  # ours: address space; 8K with all its references fits
    queue_bytes: int = Field(16 << 20, ge=0)  # ours: decoded frames that may wait for us (at least one may)
    threads: int = Field(0, ge=0, le=64)  # ours: 0 is one up to 1080p and up to four above
    spare_disk_bytes: int = Field(1 << 30, ge=0)  # ours: of the disk for copies of pipes, that stay free
    clip: bool = False  # ours: a part of a video is not what was asked for, unless it is
