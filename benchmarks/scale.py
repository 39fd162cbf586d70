"""Millions of videos and photos: what they need, from measured costs, and a simulation of the cluster.

    python benchmarks/scale.py --measure costs.json --data out/world/test --videos 12    measure the costs on a set
    python benchmarks/scale.py --costs costs.json                                        the arithmetic, a cluster

Without --costs, those of benchmarks/scale_costs.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import tempfile
from functools import partial
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from _measure import machine, once

from dprnet.batch.cluster import ClusterConfig, headroom, simulate
from dprnet.batch.scale import DAY_S, Costs, Plan, first_to_give, needs, table, video_core_s
from dprnet.core.config import parse_settings

if TYPE_CHECKING:
    from dprnet.core.records import Report
    from dprnet.pipeline import VideoToShop


def measure(data: Path, videos: int, bundle: str, device: str) -> Costs:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch

    from dprnet.batch.config import BatchConfig
    from dprnet.batch.ledger import row_schema
    from dprnet.batch.worker import search
    from dprnet.data.shopset import ShopSet
    from dprnet.gallery import Gallery, read_catalogue
    from dprnet.pipeline import VideoToShop, index_catalogue

    torch.set_num_threads(1)
    shopset = ShopSet.open(data)
    with tempfile.TemporaryDirectory() as work:
        place = Path(work) / "gallery"
        on = {"bundle": bundle, "device": device}
        gpu = device.startswith("cuda")
        index_catalogue(shopset.catalogue_path, Path(work) / "warm", **on)
        spent, wall_s = once(lambda: index_catalogue(shopset.catalogue_path, place, **on))
        files = [photo for item in read_catalogue(shopset.catalogue_path).items for photo in item.files]
        stored = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        with Gallery.open(place) as opened:
            numbers = opened.size
        photo = {
            "photos": len(files),
            "core_s": spent / len(files),
            "bytes": mean(path.stat().st_size for path in files),
            "stored_bytes": stored / len(files),
            "numbers": numbers,
            "gpu_s": wall_s / len(files) if gpu else 0.0,  # held all the time, if not busy
        }
        held: list[VideoToShop] = []
        start_s, _ = once(lambda: held.append(VideoToShop.from_pretrained(bundle, gallery=place, device=device)))
        shop, config = held[0], BatchConfig(bundle=bundle, gallery=str(place))
        paths = [shopset.video_path(name) for name in shopset.videos[:videos]]
        shop.search(paths[0])
        rows, cores, stages, gpu_s = [], [], dict[str, float](), 0.0
        for path in paths:
            reports: list[Report] = []
            spent, _ = once(partial(_searched, shop, path, reports))
            cores.append(spent)
            whole = sum(reports[0].seconds.values())
            for stage, seconds in reports[0].seconds.items():
                stages[stage] = stages.get(stage, 0.0) + spent * seconds / whole / len(paths)
            gpu_s += sum(reports[0].seconds.get(stage, 0.0) for stage in ("detect", "embed")) / len(paths)
            rows.append(search(shop, path, str(path), config))
        pq.write_table(pa.Table.from_pylist(rows, schema=row_schema()), Path(work) / "rows.parquet", compression="zstd")
        video = {
            "videos": len(paths),
            "seconds": mean(row["duration_s"] for row in rows),
            "bytes": mean(path.stat().st_size for path in paths),
            "frames": mean(row["frames"] for row in rows),
            "picked": mean(row["picked"] for row in rows),
            "stages": {stage: round(value, 5) for stage, value in stages.items()},
            "each": [round(value, 4) for value in cores],
            "result_bytes": (Path(work) / "rows.parquet").stat().st_size / len(rows),
            "worker_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "start_s": start_s,
            "gpu_s": gpu_s if gpu else 0.0,
        }
        now = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        about = {"date": now, "machine": machine(), "bundle": shop.bundle.identity, "data": f"{data.name} {shopset.id}"}
        return parse_settings({**about, "video": video, "photo": photo}, Costs, "costs")


def _searched(shop: VideoToShop, path: Path, into: list[Report]) -> None:
    into.append(shop.search(path))


def tell(costs: Costs, plan: Plan) -> None:
    video = costs.video
    print(f"Measured {costs.date} on {costs.machine}, {costs.bundle}, {costs.data}")
    print(f"{video.videos} videos of {video.seconds:.1f} s: {video_core_s(video):.2f} core-seconds each")
    print(", ".join(f"{stage} {value:.3f}" for stage, value in video.stages.items()))
    print(f"{costs.photo.photos} photos: {1000 * costs.photo.core_s:.1f} core-milliseconds each\n")
    longer = 1.0 if plan.video_s is None else video_core_s(video, plan.video_s) / video_core_s(video)
    each = [longer * value for value in video.each]
    # One day of the plan's: as many workers, and that day's share of the videos.
    common = {"videos": max(1, round(plan.videos / plan.days)), "start_s": video.start_s, "workers": 1}
    room = headroom(each, parse_settings(common, ClusterConfig, "cluster"), DAY_S)
    plan = plan.model_copy(update={"headroom": room})
    found = needs(costs, plan)
    length = plan.video_s or video.seconds
    print(f"{plan.videos:,} videos of {length:.0f} s and {plan.photos:,} photos in {plan.days:g} days,")
    print(f"machines of {plan.cores} cores, {plan.memory_gb:g} GB and {plan.network_gbit_s:g} Gbit/s;")
    print(f"{room:.2f} cores for each that the arithmetic wants (simulated)\n")
    print("\n".join(table(found)))
    print(f"\nGives first: {first_to_give(found, plan)}.\n")
    print("| one day, simulated | days | busy | redone | quarantined | wait p50, p99 |")
    print("|---|---|---|---|---|---|")
    workers = max(1, round(common["videos"] * mean(each) / DAY_S * room))
    for name, more in {
        "all there at the start": {},
        "arriving over nine tenths of the time": {"arrive_s": 0.9 * DAY_S},
        "a worker is lost every day": {"fails_after_s": float(DAY_S)},
        "one worker in ten four times slower": {"slow_share": 0.1},
        "one video in a thousand is poison": {"poison": 0.001},
    }.items():
        ran = simulate(each, parse_settings(common | {"workers": workers} | more, ClusterConfig, "cluster"))
        p50, p99 = (value / 3600 for value in ran.wait_s)
        print(
            f"| {name} | {ran.seconds / DAY_S:.2f} | {ran.busy:.2f} | {ran.redone} | {ran.quarantined} "
            f"| {p50:.2f} h, {p99:.2f} h |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=Path, help="measure, and write the costs here (JSON)")
    parser.add_argument("--data", type=Path, default=Path("out/world/test"), help="video-to-shop set to measure on")
    parser.add_argument("--videos", type=int, default=12, help="videos of it")
    parser.add_argument("--bundle", default="tiny")
    parser.add_argument("--device", default="cpu", help="cuda also measures GPU-seconds")
    parser.add_argument("--costs", type=Path, default=Path(__file__).with_name("scale_costs.json"))
    parser.add_argument("--plan", type=Path, help="another plan (JSON: videos, photos, days, video_s, cores, ...)")
    parser.add_argument("--video-s", type=float, help="mean length of the plan's videos; as measured if not given")
    given = parser.parse_args()
    if given.measure:
        costs = measure(given.data, given.videos, given.bundle, given.device)
        given.measure.write_text(json.dumps(costs.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
        print(given.measure)
        return
    costs = parse_settings(json.loads(given.costs.read_text(encoding="utf-8")), Costs, str(given.costs))
    plan = json.loads(given.plan.read_text(encoding="utf-8")) if given.plan else {}
    plan |= {"video_s": given.video_s} if given.video_s else {}
    tell(costs, parse_settings(plan, Plan, str(given.plan or "plan")))


if __name__ == "__main__":
    main()
