"""Which files, formats and streams are opened, and which are refused (rows V2, V7, V8 and V10 of the promises)."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dprnet.core.errors import BadVideo, LimitExceeded, MissingFile

if TYPE_CHECKING:
    from dprnet.decode.limits import DecodeLimits

# FFmpeg follows playlists, includes and addresses unless told not to: nothing but these, and nothing but files.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,flv"
WHITELISTS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
MAX_STREAMS = 100  # ours

_TS_PACKET = 188
_OTHERS = (  # what else is given as a video, by its first bytes
    (b"GIF8", "a GIF picture; convert it to MP4"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"%PDF", "a PDF document"),
    (b"#EXTM3U", "a playlist; give the video itself"),
    (b"ffconcat", "a playlist; give the video itself"),
    (b"OggS", "an Ogg file; convert it to MP4 or WebM"),
    (b"ID3", "an MP3 sound file"),
    (b"\x30\x26\xb2\x75", "a Windows Media file; convert it to MP4"),
)
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_BOXES = (
    *(b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"sidx", b"pnot", b"uuid", b"udta"),
    *(b"junk", b"pict", b"prfl", b"emsg", b"jP  "),
)
_EBML = b"\x1a\x45\xdf\xa3"


def check_file(path: str | Path, limits: DecodeLimits) -> Path:
    """The file as an absolute path, once its kind, size and first bytes allow it.

    Raises:
        MissingFile: no such file, or an address.
        BadVideo: empty, not a file, or plainly something else (a picture, an archive, a playlist).
        LimitExceeded: ``limit:bytes``.
    """
    file = Path(path)
    try:
        found = file.stat()
    except (OSError, ValueError) as error:
        if "://" in str(path):
            raise MissingFile(path, "addresses are not opened; give a video file on this machine") from None
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise MissingFile(path, f"cannot be opened ({why.lower()})") from None
    if not stat.S_ISREG(found.st_mode):
        raise BadVideo(path, "a folder or a device, not a video file", reason="not_a_file")
    if found.st_size == 0:
        raise BadVideo(path, "an empty file", reason="empty")
    if found.st_size > limits.max_bytes and not limits.clip:
        sentence = f"{found.st_size} bytes is over the limit of {limits.max_bytes}"
        raise LimitExceeded(path, sentence, reason="limit:bytes")
    try:
        with file.open("rb") as stream:
            head = stream.read(4 * _TS_PACKET)
    except OSError as error:
        raise MissingFile(path, f"cannot be read ({error.strerror})") from None
    kind = _other_kind(head)
    if kind:
        raise BadVideo(path, f"{kind}, not a video in a known container", reason="unsupported_format")
    return file.absolute()


def _other_kind(head: bytes) -> str:
    for magic, kind in _OTHERS:
        if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(magic):
            return kind
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS:
        return "an AVIF or HEIF picture"
    if head[:4] == b"RIFF" and head[8:12] != b"AVI ":
        return "a RIFF file that is no AVI"
    if not _video_like(head):
        return "no MP4, MOV, 3GP, MKV, WebM, AVI, MPEG-TS or FLV file"
    return ""


def _video_like(head: bytes) -> bool:
    if head[4:8] in _BOXES or head[:4] in (_EBML, b"RIFF") or head[:3] == b"FLV":
        return True
    # MPEG-TS has no header, only a sync byte per packet (192 bytes each in Blu-ray files, 204 with checksums).
    return any(
        len(head) > start + step and head[start] == head[start + step] == 0x47
        for step in (_TS_PACKET, 192, 204)
        for start in range(min(step, len(head)))
    )


def open_container(path: Path) -> Any:
    """A PyAV container, opened with both whitelists; ``path`` is taken as a file whatever it looks like.

    Raises:
        BadVideo: ``undecodable``, where its header cannot be read.
    """
    import av

    try:
        # "file:" keeps names such as "concat:a|b" or "http:x" from being read as protocols.
        return av.open(f"file:{path}", options=dict(WHITELISTS), metadata_errors="replace")
    except MemoryError:
        raise LimitExceeded(path, "its header asks for too much memory", reason="limit:memory") from None
    except Exception as error:  # PyAV raises far more than its own errors on broken files
        raise BadVideo(path, f"its header cannot be read ({describe(error)})", reason="undecodable") from None


def choose_stream(container: Any, path: Path) -> Any:
    """The video stream to decode: the one with the largest picture, of several the first.

    Attached pictures (cover art) are not video; a track that states it holds nothing comes last.

    Raises:
        BadVideo: ``no_video_stream``, or ``undecodable`` where FFmpeg has no decoder for it.
        LimitExceeded: ``limit:streams``.
    """
    from av.stream import Disposition

    streams = list(container.streams)
    if len(streams) > MAX_STREAMS:
        raise LimitExceeded(path, f"{len(streams)} streams is over the limit of {MAX_STREAMS}", reason="limit:streams")
    stills = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
    films = [s for s in streams if s.type == "video" and not (Disposition(s.disposition) & stills)]
    if not films:
        raise BadVideo(path, f"no video stream; found {_inventory(streams)}", reason="no_video_stream")
    usable = [s for s in films if s.codec_context is not None]
    if not usable:
        raise BadVideo(path, "its video is in a codec that cannot be decoded", reason="undecodable")
    return max(usable, key=lambda s: (s.duration != 0, s.codec_context.width * s.codec_context.height, -s.index))


def _inventory(streams: list[Any]) -> str:
    kinds: dict[str, int] = {}
    for stream in streams:
        kind = "cover picture" if stream.type == "video" else str(stream.type or "unknown")
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"


def describe(error: BaseException) -> str:
    """What FFmpeg said, without the path it repeats."""
    return getattr(error, "strerror", None) or type(error).__name__


def is_cut_short(path: Path) -> bool:
    """Does the container's own structure end beyond the end of the file (MP4, Matroska, AVI, FLV)?"""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            return int.from_bytes(head[4:8], "little") + 8 > size
        if head[:4] == _EBML:
            return _segment_end(file) > size
        if head[4:8] in _BOXES:
            return any(end > size for end in _box_ends(file, size))
        if head[:3] == b"FLV":
            return _flv_size(file) > size or not _ends_with_a_tag(file, size)
    return False


def _box_ends(file: BinaryIO, size: int) -> Iterator[int]:
    position = 0
    for _ in range(100_000):  # bounded: a fragmented file has a few boxes a second
        if position + 8 > size:
            return
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: to the end of the file
            return
        position += length
        yield position


def _flv_size(file: BinaryIO) -> float:
    """The length of an FLV file as its metadata states it, or 0 where it does not (a cut may fall between two tags)."""
    file.seek(0)
    _, found, after = file.read(4096).partition(b"filesize\0")  # a name, and 0 for a number: eight bytes
    return float(struct.unpack(">d", after[:8])[0]) if found and len(after) >= 8 else 0.0


def _ends_with_a_tag(file: BinaryIO, size: int) -> bool:
    """An FLV file ends with the length of its last tag, whose own header says the same."""
    file.seek(size - 4)
    length = int.from_bytes(file.read(4), "big")
    if not 11 <= length <= size - 4:
        return False
    file.seek(size - 4 - length)
    return int.from_bytes(file.read(4)[1:], "big") == length - 11


def _segment_end(file: BinaryIO) -> int:
    """End of a Matroska segment as its header states it, or 0 where it does not."""
    file.seek(4)
    header, _ = _vint(file)
    file.seek(header, 1)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    length, unknown = _vint(file)
    return 0 if unknown else file.tell() + length


def _vint(file: BinaryIO) -> tuple[int, bool]:
    first = file.read(1)
    if not first or first[0] == 0:
        return 0, True
    extra = 8 - first[0].bit_length()
    mask = (1 << (7 - extra)) - 1
    rest = file.read(extra)
    value = int.from_bytes(bytes([first[0] & mask]) + rest, "big")
    return value, value == (1 << (7 * (extra + 1))) - 1
