"""The double against the client that is generated from the API document, so that it cannot drift."""

import json
import urllib.request

import pytest
from api_schema import SchemaError, check, operations
from kubeflow_api_double import KubeflowDouble
from kubeflow_routes import ROUTES, Route


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_is_in_the_document(route: Route) -> None:
    query, body = operations()[route.method, route.path]
    assert {*route.query} <= query
    assert bool(route.body and route.body != "multipart") == bool(body)


@pytest.mark.parametrize(
    "body",
    [
        {"display_name": "x", "no_such_field": 1},
        {"display_name": 5},
        {"pipeline_version_reference": {"pipeline": "x"}},
        {"runtime_config": {"parameters": ["x"]}},
        {"state": "NO_SUCH_STATE"},
        {"created_at": "yesterday"},
        {"state_history": {}},
    ],
)
def test_a_body_that_does_not_fit(body: dict[str, object]) -> None:
    with pytest.raises((SchemaError, ValueError)):
        check(body, "V2beta1Run")


def test_an_unknown_path_and_an_unknown_parameter(double: KubeflowDouble) -> None:
    for path, status in (("/apis/v2beta1/nothing", 404), ("/apis/v2beta1/runs?nothing=1", 400)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(double.url + path)
        assert caught.value.code == status
        assert {"code", "message", "details"} <= json.load(caught.value).keys()
