"""The arithmetic by hand, and the cluster where its end is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dprnet.batch.cluster import ClusterConfig, headroom, simulate
from dprnet.batch.scale import Costs, PhotoCosts, Plan, VideoCosts, first_to_give, needs, table, video_core_s

VIDEO = VideoCosts(
    videos=2, seconds=10.0, bytes=1e6, frames=20, picked=3, stages={"decode": 1.0, "detect": 2.0, "embed": 0.5},
    each=(3.0, 4.0), result_bytes=1000.0, worker_mb=500.0, start_s=5.0,
)  # fmt: skip
PHOTO = PhotoCosts(photos=100, core_s=0.01, bytes=20_000.0, stored_bytes=10_000.0, numbers=256)
COSTS = Costs(date="2026-11-24", machine="m", bundle="b", data="d", video=VIDEO, photo=PHOTO)
STEADY = {"fails_after_s": 1e12, "slow_share": 0.0, "poison": 0.0}


def test_by_hand() -> None:
    plan = Plan(videos=86_400, photos=8_640_000, days=1.0, cores=4, memory_gb=10.0, network_gbit_s=1.0)
    found = {need.name: need for need in needs(COSTS, plan)}
    assert found["cores for videos"].amount == pytest.approx(3.5)
    assert found["cores for photos"].amount == pytest.approx(1.0)
    assert found["cores in all"].machines == pytest.approx(4.5 / 4)
    assert found["network, reading"].amount == pytest.approx(8 * (1e6 + 100 * 20_000) / 1e9)
    assert found["memory of the processes, one a core"].amount == pytest.approx(4.5 * 0.5)
    assert found["results"].amount == pytest.approx(0.0864)
    assert found["gallery in its store"].amount == pytest.approx(86.4)
    assert found["exact index in memory, each copy"].amount == pytest.approx(8.64 * 1.024)
    assert found["coded index in memory, each copy"].amount == pytest.approx(8.64e6 * (512 + 32) / 1e9)
    assert len(list(table(list(found.values())))) == len(found) + 2


def test_gpus_where_they_were_measured() -> None:
    costs = COSTS.model_copy(
        update={
            "video": VIDEO.model_copy(update={"gpu_s": 0.5}),
            "photo": PHOTO.model_copy(update={"gpu_s": 0.001}),
        }
    )
    plan = Plan(videos=86_400, photos=8_640_000, days=1.0, headroom=2.0)
    amounts = {need.name: need.amount for need in needs(costs, plan)}
    assert (amounts["GPUs for videos"], amounts["GPUs for photos"]) == (pytest.approx(1.0), pytest.approx(0.2))
    assert not any(need.name.startswith("GPU") for need in needs(COSTS, plan))


def test_a_longer_video_costs_more_to_look_at_not_to_embed() -> None:
    assert video_core_s(VIDEO) == 3.5
    assert video_core_s(VIDEO, 20.0) == 6.5
    plan = Plan(videos=86_400, photos=0, days=1.0, video_s=20.0, headroom=2.0)
    found = {need.name: need.amount for need in needs(COSTS, plan)}
    assert found["cores for videos"] == pytest.approx(13)
    assert found["videos to keep"] == pytest.approx(172.8)


def test_what_gives_first() -> None:
    roomy = Plan(videos=86_400, photos=10, days=1.0, cores=4, memory_gb=512)
    assert first_to_give(needs(COSTS, roomy), roomy).startswith("the processor: 4 cores, 0.88 machines of 4")
    many = roomy.model_copy(update={"photos": 300_000_000})
    assert first_to_give(needs(COSTS, many), many).startswith("memory: dprnet batch holds an index in every process")
    narrow = roomy.model_copy(update={"network_gbit_s": 0.001})
    assert first_to_give(needs(COSTS, narrow), narrow).startswith("the network")


def test_without_trouble_the_floor_is_reached() -> None:
    ran = simulate([2.0], ClusterConfig(workers=4, videos=40, **STEADY))
    assert (ran.seconds, ran.floor_s, ran.busy) == (20.0, 20.0, 1.0)
    assert (ran.done, ran.redone, ran.quarantined) == (40, 0, 0)
    assert ran.wait_s[0] == 11.0  # half are done after 10 s, the next ones at 12


def test_videos_that_come_late_end_late() -> None:
    ran = simulate([1.0], ClusterConfig(workers=10, videos=100, arrive_s=1000.0, **STEADY))
    assert 900 < ran.seconds < 1002
    assert ran.wait_s[0] == pytest.approx(1.0, abs=0.01)
    assert ran.busy < 0.02


def test_poison_is_tried_so_often_and_no_more() -> None:
    ran = simulate([1.0], ClusterConfig(workers=2, videos=10, **STEADY | {"poison": 1.0}, attempts=3, repair_s=0.0))
    assert (ran.done, ran.quarantined, ran.redone) == (0, 10, 20)


def test_slow_workers_and_failures_cost_time() -> None:
    steady = simulate([1.0, 3.0], ClusterConfig(workers=10, videos=500, **STEADY))
    slow = simulate([1.0, 3.0], ClusterConfig(workers=10, videos=500, **STEADY | {"slow_share": 0.5}, slow_times=4.0))
    failing = simulate([1.0, 3.0], ClusterConfig(workers=10, videos=500, **STEADY | {"fails_after_s": 20.0}))
    assert slow.seconds > 1.2 * steady.seconds
    assert failing.seconds > steady.seconds
    assert failing.redone > 0


@given(st.integers(1, 6), st.integers(1, 60), st.floats(0, 50), st.floats(1, 100), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_every_video_is_done_or_put_aside(workers, videos, arrive_s, fails_after_s, poison, seed) -> None:
    config = ClusterConfig(
        workers=workers, videos=videos, arrive_s=arrive_s, fails_after_s=fails_after_s, poison=poison, seed=seed,
        repair_s=5.0,
    )  # fmt: skip
    ran = simulate([0.5, 2.0], config)
    assert ran.done + ran.quarantined == videos
    assert 0 <= ran.busy <= 1
    assert ran == simulate([0.5, 2.0], config) or np.isnan(ran.wait_s[0])


def test_headroom() -> None:
    steady = ClusterConfig(workers=1, videos=1000, **STEADY)
    assert headroom([1.0], steady, 100.0) == 1.0
    slow = steady.model_copy(update={"slow_share": 0.5, "slow_times": 2.0})
    assert 1.2 < headroom([1.0], slow, 100.0) < 2.0
    late = steady.model_copy(update={"arrive_s": 200.0})
    assert headroom([1.0], late, 100.0) == float("inf")
