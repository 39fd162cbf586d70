"""The whole flow on a small video, with networks of random weights: everything real but the answers."""

from __future__ import annotations

import copy
import csv
import os
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from dprnet import Gallery, VideoToShop
from dprnet.core.errors import BadGallery, BadVideo, DprnetError, LimitExceeded, MissingFile
from dprnet.core.images import read_image
from dprnet.core.records import Detections
from dprnet.detect import Detector
from dprnet.detect.config import fitted_size
from dprnet.pick import PickConfig, pick
from dprnet.pipeline import index, index_catalogue
from dprnet.pipeline.categories import coarse_label
from dprnet.pipeline.joining import side_by_side
from dprnet.report import jsonl_line


@pytest.fixture(scope="module")
def shop(random_bundle, small_catalogue, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop") / "gallery"
    done = index_catalogue(small_catalogue, folder, bundle=random_bundle)
    assert (done.items, done.photos, done.problems) == (6, 7, ())
    assert not done.problems_path.exists()
    return VideoToShop.from_pretrained(random_bundle, gallery=folder)


def test_from_video_to_items(shop, moving_square):
    report = shop.search(moving_square, every="0.5s", items=3)
    assert [source.status for source in report.sources] == ["complete"]
    assert report.sources[0].frames == 6
    assert (report.sources[0].width, report.sources[0].height) == (160, 120)
    assert len(report.picks) > 0
    assert report.picks.picked.all()  # the bundle's limits are 0
    assert all(len(items) == 3 for items in report.matches.items)
    assert all(crop is not None and crop.dtype == np.uint8 for crop in report.picks.crops)
    assert set(report.seconds) == {"decode", "detect", "pick", "embed", "crop", "match"}
    assert all(seconds >= 0 for seconds in report.seconds.values())
    assert report.bundle.startswith("random@")
    assert report.gallery.endswith("6 items")
    assert set(report.picks.detections.frame_index) <= {0, 5, 10, 15, 20, 25}


def test_each_best_view_is_what_was_embedded(shop, moving_square):
    report = shop.search(moving_square, every="0.5s")
    from dprnet.core.images import cut_out
    from dprnet.decode import DecodeLimits, frames_at

    rows = {int(best): garment for garment, best in enumerate(report.picks.best)}
    found = report.picks.detections
    frames = {
        frame.index: frame.image
        for frame in frames_at(moving_square, sorted({int(found.frame_index[r]) for r in rows}), limits=DecodeLimits())
    }
    vectors = dict(zip(report.embeddings.ids, report.embeddings.vectors, strict=True))
    for row, garment in rows.items():
        crop = cut_out(frames[int(found.frame_index[row])], found.boxes_xyxy[row])
        assert np.allclose(vectors[str(garment)], shop.embedder([crop])[0], atol=1e-5)


@pytest.mark.parametrize("size", [(480, 320), (640, 128), (128, 642)])
def test_frames_come_at_the_size_that_the_detector_takes(shop, size, tmp_path):
    import av

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=2)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((*size[::-1], 3), 90, np.uint8), format="rgb24")))
        file.mux(stream.encode())
    sizes = []

    class Noting(Detector):
        def image(self, frame):
            image = super().image(frame)
            sizes.append((frame.image.shape, image.shape, image is frame.image))
            return image

    other = copy.copy(shop)
    other.detector = Noting(shop.detector.runtime)
    report = other.search(path, until="detect")
    config = shop.detector.config
    wanted = (*fitted_size(size[1], size[0], config.short_side, config.long_side), 3)
    assert sizes == [(wanted, wanted, True)], "a frame is scaled once, while it is decoded"
    boxes = report.picks.detections.boxes_xyxy
    assert len(boxes)
    assert (boxes <= np.array([*size, *size]) + 1).all()
    assert boxes[:, 2].max() > 0.8 * size[0], "boxes are in pixels of the video"


def test_the_same_again(shop, moving_square):
    one, two = (shop.search(moving_square) for _ in range(2))
    assert jsonl_line(replace(one, seconds={})) == jsonl_line(replace(two, seconds={}))
    assert one.matches == two.matches
    assert np.array_equal(one.picks.detections.boxes_xyxy, two.picks.detections.boxes_xyxy)


def test_a_pipe_gives_what_its_file_gives(shop, moving_square, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(moving_square.read_bytes()), daemon=True)
    writer.start()
    piped, plain = shop.search(pipe), shop.search(moving_square)
    writer.join(60)
    assert piped.sources[0].path == str(pipe)
    assert piped.sources[0].sha256 == plain.sources[0].sha256
    assert np.array_equal(piped.embeddings.vectors, plain.embeddings.vectors)
    assert piped.matches == plain.matches


def test_of_a_video_over_a_limit_the_part_before_it(shop, random_bundle, moving_square):
    from dprnet.decode import DecodeLimits

    limits = DecodeLimits(max_duration_s=1.5)
    with pytest.raises(LimitExceeded, match=r"duration_s 3.0 is over the limit of 1.5") as caught:
        VideoToShop.from_pretrained(random_bundle, limits=limits).search(moving_square)
    assert caught.value.reason == "limit:duration_s"
    clip = limits.model_copy(update={"clip": True})
    report = VideoToShop.from_pretrained(random_bundle, gallery=shop.gallery, limits=clip).search(moving_square)
    whole = shop.search(moving_square)
    early = whole.picks.detections[whole.picks.detections.time_s <= 1.5]
    assert np.array_equal(report.picks.detections.boxes_xyxy, early.boxes_xyxy)
    assert np.array_equal(report.picks.detections.frame_index, early.frame_index)
    assert all(crop is not None for crop in report.picks.crops)
    assert report.status == "partial"
    assert report.sources[0].note.startswith("clipped after 1.6")
    asked = VideoToShop.from_pretrained(random_bundle, gallery=shop.gallery, limits=limits)
    assert jsonl_line(replace(asked.search(moving_square, clip=True), seconds={})) == jsonl_line(
        replace(report, seconds={})
    )
    assert (report.settings["clip"], whole.settings["clip"], whole.settings["kind"]) == (True, False, "auto")
    with pytest.raises(LimitExceeded):
        asked.search(moving_square)  # one call does not change the next
    assert report.sources[0].sha256 == whole.sources[0].sha256


def test_what_searches_the_gallery_is_a_setting(shop, random_bundle, moving_square):
    exact = VideoToShop.from_pretrained(random_bundle, gallery=shop.gallery.address, kind="exact")
    report = exact.search(moving_square)
    assert report.settings["kind"] == "exact"
    assert report.matches == shop.search(moving_square).matches
    assert exact.in_gallery(shop.gallery.address, kind="hnsw").search(moving_square).settings["kind"] == "hnsw"
    with pytest.raises(BadGallery, match="LanceDB keeps it, which answers no search"):
        VideoToShop.from_pretrained(random_bundle, gallery=shop.gallery.address, kind="store")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_embeds_alike_in_all_orientations(kind, moving_square):
    """Row I3: the same embedding within 1e-2 of a cosine, by the weights that ship."""
    import io

    from PIL import Image, ImageOps

    from dprnet.core.bundle import Bundle
    from dprnet.decode import decode_in_process
    from dprnet.embed.embedder import Embedder

    frame = next(iter(decode_in_process(moving_square, "20f")))
    upright = Image.fromarray(frame.image).resize((640, 480))
    photos = []
    for orientation in range(1, 9):
        stored = next(
            turned
            for turn in [None, *Image.Transpose]
            for turned in [upright if turn is None else upright.transpose(turn)]
            if _as_viewed(turned, orientation, ImageOps).tobytes() == upright.tobytes()
        )
        exif = Image.Exif()
        exif[0x0112] = orientation
        file = io.BytesIO()
        stored.save(file, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
        photos.append(read_image(file.getvalue()).image)
    vectors = Embedder.from_bundle(Bundle.from_pretrained("tiny"), runtime="torch")(photos)
    assert (vectors @ vectors.T).min() > 0.99


def _as_viewed(stored, orientation, ops):
    """What any viewer shows of a stored picture of this orientation."""
    tagged = stored.copy()
    tagged.getexif()[0x0112] = orientation
    return ops.exif_transpose(tagged)


def test_until(shop, moving_square):
    detected = shop.search(moving_square, until="detect")
    assert len(detected.picks) == len(detected.picks.detections) > 0
    assert not detected.picks.picked.any()
    picked = shop.search(moving_square, until="pick")
    assert picked.embeddings is None
    assert picked.picks.crops == ()
    embedded = shop.search(moving_square, until="embed")
    assert embedded.embeddings.vectors.shape == (len(embedded.picks), 16)
    assert not any(embedded.matches.items)
    assert embedded.gallery == ""


def test_lost_views_are_pictured_only_when_asked(shop, moving_square):
    report, pictures = shop.search_shown(moving_square, every="0.2s")
    assert set(map(int, report.picks.best)) < set(pictures.views)
    assert pictures.photos
    assert all(photo.startswith(b"\xff\xd8") for photo in pictures.photos.values())


def test_the_fallback_matches_what_is_never_seen_well(shop, moving_square):
    import copy

    strict = copy.copy(shop)
    strict.picking = PickConfig(viewpoint=1.0, occlusion=1.0, crop=1.0, cut_distance=0.2)
    report = strict.search(moving_square)
    assert len(report.picks) > 0
    assert not report.picks.picked.any()
    assert not any(report.matches.items)
    assert all(crop is not None for crop in report.picks.crops)  # shown all the same
    helped = strict.search(moving_square, fallback="best")
    assert not helped.picks.picked.any()  # counts as not picked all the same
    assert all(helped.matches.items)
    assert helped.settings["fallback"] == "best"


def test_several_videos_side_by_side_or_as_one(shop, moving_square, tmp_path):
    copy = tmp_path / "copy.mp4"
    shutil.copy(moving_square, copy)
    alone = shop.search(moving_square)
    apart = shop.search([moving_square, copy])
    assert len(apart.picks) == 2 * len(alone.picks)
    for garment in range(len(apart.picks)):
        assert len(set(apart.picks.detections.source[apart.picks.members(garment)])) == 1
    joined = shop.search([moving_square, copy], as_one=True)
    assert len(joined.picks) == len(alone.picks)  # the same clip twice shows the same garments
    assert [source.path for source in joined.sources] == [str(moving_square), str(copy)]


def test_one_bad_video_does_not_stop_the_others(shop, moving_square, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"not a video")
    report = shop.search([bad, moving_square, tmp_path / "absent.mp4"])
    assert [source.status for source in report.sources] == ["failed", "complete", "failed"]
    assert "bad.mp4" in report.sources[0].note
    assert report.status == "partial"
    assert set(report.picks.detections.source) == {1}
    assert all(report.matches.items)


def test_no_good_video_is_an_error(shop, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"not a video")
    with pytest.raises(BadVideo, match=r"bad\.mp4"):
        shop.search(bad)
    with pytest.raises(DprnetError, match="2 videos: none could be read"):
        shop.search([bad, tmp_path / "absent.mp4"])


def test_a_damaged_video_is_a_partial_report(shop, moving_square, tmp_path):
    # The index of an MP4 stands at its end, a stream that can be cut stands in a transport stream.
    import av

    cut = tmp_path / "cut.mkv"
    with av.open(str(moving_square)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    report = shop.search(cut)
    assert report.status == "partial"
    assert report.sources[0].note
    assert 0 < report.sources[0].frames < 6


def test_a_video_without_garments(shop, moving_square):
    import copy

    blind = copy.copy(shop)
    blind.detector = copy.copy(shop.detector)
    blind.detector.__class__ = type(
        "Blind", (type(shop.detector),), {"__call__": lambda self, frames, **_: (Detections.empty(8) for _ in frames)}
    )
    report, _ = blind.search_shown(moving_square)
    assert len(report.picks) == 0
    assert report.matches.items == ()


def test_a_gallery_of_another_embedder_is_refused(shop, random_bundle, tmp_path):
    Gallery.create(tmp_path / "other", embedder="other@1", size=16).close()
    with pytest.raises(BadGallery, match="built by the embedder other@1"):
        VideoToShop.from_pretrained(random_bundle, gallery=tmp_path / "other")
    with pytest.raises(BadGallery, match="built by the embedder other@1"), Gallery.open(tmp_path / "other") as other:
        shop.in_gallery(other)


def test_no_bundle():
    with pytest.raises(MissingFile, match="no bundle here; shipped bundles"):
        VideoToShop.from_pretrained("no-such-bundle")


def test_indexing_lists_what_it_left_out(shop, small_catalogue, tmp_path):
    folder = tmp_path / "catalogue"
    shutil.copytree(small_catalogue.parent, folder)
    (folder / "red_back.png").write_bytes(b"not a photo")
    (folder / "snow.png").write_bytes((folder / "snow.png").read_bytes()[:60])
    done = index(folder / "catalogue.csv", tmp_path / "gallery", shop.embedder)
    assert (done.items, done.photos) == (5, 5)
    listed = done.problems_path.read_text(encoding="utf-8")
    assert "red_back.png" in listed
    assert "snow,left out: none of its photos could be read" in listed


def test_what_was_left_out_is_no_formula(shop, small_catalogue, tmp_path):
    folder = tmp_path / "catalogue"
    folder.mkdir()
    shutil.copy(small_catalogue.parent / "green.png", folder)
    (folder / "catalogue.csv").write_text("item_id,image\ngreen,green.png\n=1+1,missing.png\n", encoding="utf-8")
    done = index(folder / "catalogue.csv", tmp_path / "gallery", shop.embedder)
    with done.problems_path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert len(cells) > 2
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def test_a_gallery_whose_making_was_killed_is_made_again(shop, small_catalogue, tmp_path):
    folder = tmp_path / "gallery"
    index(small_catalogue, folder, shop.embedder)
    (folder / "gallery.json").unlink()
    assert index(small_catalogue, folder, shop.embedder).items == 6


def test_indexing_again_replaces(shop, small_catalogue, tmp_path):
    for _ in range(2):
        done = index(small_catalogue, tmp_path / "gallery", shop.embedder)
    assert done.items == 6


def test_an_item_finds_itself(shop, small_catalogue):
    image = read_image(small_catalogue.parent / "green.png").image
    best = shop.gallery.search(shop.embedder([image]), 1)[0][0]
    assert best.similarity == pytest.approx(1.0, abs=1e-4)


def test_photos_are_cut_to_the_category(shop, small_catalogue, tmp_path):
    done = index(small_catalogue, tmp_path / "gallery", shop.embedder, detector=shop.detector)
    assert (done.items, done.photos) == (6, 7)


def test_words_of_shops():
    assert coarse_label(" T-Shirts ") == 0
    assert coarse_label("Dresses") == 5
    assert coarse_label("men jacket") == 1
    assert coarse_label("") is None


def test_side_by_side_keeps_every_reason():
    def one(seed: int, count: int) -> Detections:
        rng = np.random.default_rng(seed)
        three = rng.dirichlet([1, 1, 1], (2, count)).astype(np.float32)
        return Detections(
            boxes_xyxy=np.tile(np.array([0, 0, 9, 9], np.float32), (count, 1)),
            labels=rng.integers(0, 3, count),
            scores=np.full(count, 0.9, np.float32),
            viewpoint=three[0],
            occlusion=three[1],
            crop=rng.dirichlet([1, 1], count).astype(np.float32),
            embeddings=rng.normal(size=(count, 4)).astype(np.float32),
            frame_index=np.arange(count),
            time_s=np.arange(count, dtype=np.float32),
            source=np.full(count, seed),
        )

    config = PickConfig(viewpoint=0.2, occlusion=0.2, crop=0.2)
    parts = [pick(one(0, 12), config), pick(Detections.empty(), config), pick(one(2, 9), config)]
    both = side_by_side(parts)
    assert len(both) == len(parts[0]) + len(parts[2])
    assert both.limits == config.limits
    for garment in range(len(parts[2])):
        moved = both.members(garment + len(parts[0])) - 12
        assert np.array_equal(moved, parts[2].members(garment))
        assert both.best[garment + len(parts[0])] - 12 == parts[2].best[garment]
