"""Made-up requests after the service's own OpenAPI document: no answer of 500, every answer as documented."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis.errors import Unsatisfiable

from .conftest import Running

schemathesis = pytest.importorskip("schemathesis")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def test_the_document_names_every_route(service: Running) -> None:
    document = service.ask("GET", "/v1/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert {"/v1/jobs", "/v1/jobs/{job_id}/events", "/v1/search", "/v1/galleries/{name}/items"} <= set(
        document["paths"]
    )
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            refusals = {status for status in route["responses"] if status >= "400"}
            assert {"401", "403"} <= refusals, (method, path)
            for status in refusals:
                shape = route["responses"][status]["content"]["application/json"]["schema"]
                assert shape == {"$ref": "#/components/schemas/ErrorBody"}, (method, path, status)


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_made_up_requests(service: Running, mode: str) -> None:
    from hypothesis import HealthCheck, Phase, given, settings

    checks = schemathesis.checks
    schema = schemathesis.openapi.from_url(f"{service.base}/v1/openapi.json")
    chosen = [
        checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    quietly = settings(
        max_examples=8,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        database=None,
        derandomize=True,
    )
    asked = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith("/events"):
            continue  # an answer without an end, where there is a job

        @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
        @quietly
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            case.validate_response(case.call(), checks=chosen)

        try:
            ask()
        except Unsatisfiable:
            assert mode == "negative", operation.label  # nothing about it can be wrong
    assert asked > 50
    assert service.ask("GET", "/v1/health").status == 200
