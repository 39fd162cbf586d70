"""Memory does not grow with the requests (row R1 of the promises)."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from .conftest import Running, process
from .test_killing import address_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def test_after_500_requests_it_takes_what_it_took_after_100(tmp_path: Path, random_bundle: Path, indexed: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (320, 240, 3), dtype=np.uint8)).save(out, "JPEG")
    options = ["--gallery", f"shop={indexed}", "--workers", "0"]
    with process(tmp_path / "data", random_bundle, *options) as child:
        service = Running(address_of(child), tmp_path / "data")

        def some(count: int) -> int:
            for number in range(count):
                path = ("/v1/galleries/shop/items", "/", "/catalogue/shop", "/v1/jobs")[number % 4]
                answer = (
                    service.ask("POST", "/v1/search?gallery=shop", out.getvalue())
                    if number % 2
                    else service.ask("GET", path)
                )
                assert answer.status == 200
            return psutil.Process(child.pid).memory_info().rss

        before, after = some(100), some(400)
    assert after < 1.05 * before, f"{before >> 20} MB after 100 requests, {after >> 20} MB after 500"
