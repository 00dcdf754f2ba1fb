"""Every overlay, rendered once."""

import pytest
from overlays import OVERLAYS, ROOT, SETS, Object, render, render_with


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Object]]:
    """The objects of each overlay, and of prod with the component that it leaves to choice."""
    chosen = render_with(tmp_path_factory.mktemp("chosen"), "prod", ["workload-identity"])
    return {name: render(ROOT / "k8s" / "overlays" / name) for name in OVERLAYS} | {SETS[-1]: chosen}
