"""Ways to take some frames of a video as small RGB pictures: ours, and those that others use. One thread each.

Each is called in a process of its own (``_process.py``): the packages bring libraries of the same names.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

SHORT_SIDE = 480


@dataclass(frozen=True)
class Job:
    """What is wanted of a video: frames at an interval, told to peers by their numbers."""

    path: str
    every: str
    indices: tuple[int, ...]


def floor(job: Job) -> Iterator[Any]:
    """Decode everything, keep nothing."""
    for _ in _frames(job):
        pass
    yield from ()


def ours(job: Job, threads: int = 1) -> Iterator[Any]:
    from dprnet.decode import DecodeLimits, decode_in_process

    for frame in decode_in_process(job.path, job.every, short_side=SHORT_SIDE, limits=DecodeLimits(threads=threads)):
        yield frame.image


def plain(job: Job) -> Iterator[Any]:
    """PyAV, decode all, convert the wanted ones as we do: the reference for what the frames are."""
    from dprnet.decode.pixels import Converter

    convert, wanted = Converter(SHORT_SIDE), set(job.indices)
    for index, frame in enumerate(_frames(job)):
        if index in wanted:
            yield convert(frame)[0]


def process(job: Job) -> Iterator[Any]:
    """What users get: ours in the decoder's process, its start included."""
    from dprnet.decode import DecodeLimits, open_video

    with open_video(job.path, job.every, short_side=SHORT_SIDE, limits=DecodeLimits(threads=1)) as video:
        for frame in video:
            yield frame.image


def intra(job: Job) -> Iterator[Any]:
    """Ours, key frames only: not the wanted ones."""
    from dprnet.decode import DecodeLimits, decode_in_process

    limits = DecodeLimits(threads=1)
    for frame in decode_in_process(job.path, job.every, short_side=SHORT_SIDE, limits=limits, intra_only=True):
        yield frame.image


def everything(job: Job) -> Iterator[Any]:
    """PyAV, decode all and keep some: the obvious way."""
    wanted = set(job.indices)
    for index, frame in enumerate(_frames(job)):
        if index in wanted:
            yield _small(frame)


def last_of_group(job: Job) -> Iterator[Any]:
    """PyAV, each group of pictures up to its last target: a careful user's way. Closed groups only."""
    import av

    with av.open(job.path) as container:
        stream = _stream(container)
        wanted = iter((*job.indices, -1))
        target, first, packets = next(wanted), 0, list[Any]()
        for packet in (*container.demux(stream), None):
            if packet is not None and packet.size == 0:
                continue
            if packets and (packet is None or packet.is_keyframe):
                shown = sorted(one.pts for one in packets)
                here = list[int]()
                while first <= target < first + len(shown):
                    here.append(shown[target - first])
                    target = next(wanted)
                first += len(shown)
                yield from _of_group(stream.codec_context, packets, here)
                packets = []
            if packet is not None:
                packets.append(packet)


def _of_group(context: Any, packets: list[Any], wanted: list[int]) -> Iterator[Any]:
    if not wanted:
        return
    end = 1 + max(place for place, packet in enumerate(packets) if packet.pts in wanted)
    for packet in (*packets[:end], None):
        for frame in context.decode(packet):
            if frame.pts in wanted:
                yield _small(frame)
    context.flush_buffers()


def told_to_skip(job: Job) -> Iterator[Any]:
    """PyAV, every packet goes in, and the decoder is told before each whether it may leave out what nothing refers to.

    Videos of constant rate only."""
    import av

    wanted = set(job.indices)
    with av.open(job.path) as container:
        stream = _stream(container)
        frames_a_tick = float(stream.time_base * stream.average_rate)
        for packet in container.demux(stream):
            if packet.pts is not None:
                skip = "DEFAULT" if round(packet.pts * frames_a_tick) in wanted else "NONREF"
                stream.codec_context.skip_frame = skip
            for frame in stream.codec_context.decode(packet if packet.size else None):
                if round(frame.pts * frames_a_tick) in wanted:
                    yield _small(frame)


def seeking(job: Job) -> Iterator[Any]:
    """PyAV, seek to each target and decode up to it."""
    import av

    with av.open(job.path) as container:
        stream = _stream(container)
        start = stream.start_time or 0
        for index in job.indices:
            place = start + round(index / float(stream.average_rate) / float(stream.time_base))
            container.seek(place, stream=stream)
            yield _small(next(frame for frame in container.decode(stream) if frame.pts >= place))


def torchcodec(job: Job) -> Iterator[Any]:
    """Exact mode; one call for all frames, scaled while they are converted."""
    from torchcodec.decoders import VideoDecoder
    from torchvision.transforms.v2 import Resize

    decoder = VideoDecoder(job.path, seek_mode="exact", num_ffmpeg_threads=1)
    size = _size(decoder.metadata.width, decoder.metadata.height)[::-1]
    decoder = VideoDecoder(job.path, seek_mode="exact", num_ffmpeg_threads=1, transforms=[Resize(size)])
    yield from decoder.get_frames_at(list(job.indices)).data.permute(0, 2, 3, 1).numpy()


def decord(job: Job) -> Iterator[Any]:
    from decord import VideoReader, cpu

    whole = VideoReader(job.path, ctx=cpu(0), num_threads=1)
    height, width = whole[0].shape[:2]
    width, height = _size(width, height)
    reader = VideoReader(job.path, ctx=cpu(0), width=width, height=height, num_threads=1)
    for index in job.indices:
        yield reader[index].asnumpy()


def opencv(job: Job) -> Iterator[Any]:
    """Grab every frame, retrieve some."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "threads;1"
    import cv2

    cv2.setNumThreads(1)
    video, wanted, index = cv2.VideoCapture(job.path, cv2.CAP_FFMPEG), set(job.indices), 0
    while video.grab():
        if index in wanted:
            _, picture = video.retrieve()
            size = _size(picture.shape[1], picture.shape[0])
            yield cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
        index += 1


PEERS: dict[str, Callable[[Job], Iterator[Any]]] = {
    "torchcodec": torchcodec,
    "decord": decord,
    "OpenCV": opencv,
    "PyAV, all": everything,
}
WAYS = {"floor": floor, "floor again": floor, "ours": ours, "process": process, **PEERS}
CAREFUL = {
    "PyAV, to the last of a GOP": last_of_group,
    "PyAV, skip_frame by packet": told_to_skip,
    "PyAV, seeking": seeking,
    "ours, two threads": functools.partial(ours, threads=2),
    "intra only": intra,
}
REFERENCE = "all, converted as ours"
EVERY_WAY: dict[str, Callable[[Job], Iterator[Any]]] = {**WAYS, **CAREFUL, REFERENCE: plain}


def _frames(job: Job) -> Iterator[Any]:
    import av

    with av.open(job.path) as container:
        yield from container.decode(_stream(container))


def _stream(container: Any) -> Any:
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    return stream


@functools.cache
def _reformatter() -> Any:
    from av.video.reformatter import VideoReformatter

    return VideoReformatter()


def _small(frame: Any) -> Any:
    return _reformatter().reformat(frame, *_size(frame.width, frame.height), "rgb24", threads=1).to_ndarray()


def _size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, SHORT_SIDE / min(width, height))
    return round(width * scale), round(height * scale)


def taken(way: str, job: Job) -> tuple[float, int]:
    """(processor seconds, frames) of one run."""
    from _measure import processor_s

    before, count = processor_s(), 0
    for _ in EVERY_WAY[way](job):
        count += 1
    return processor_s() - before, count


def digests(way: str, job: Job) -> list[str]:
    """What each frame is."""
    return [
        hashlib.sha256(np.ascontiguousarray(picture)).hexdigest() + str(picture.shape)
        for picture in EVERY_WAY[way](job)
    ]
