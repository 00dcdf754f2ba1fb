"""Every overlay, rendered once."""

import pytest
from overlays import CHOSEN, OVERLAYS, ROOT, Object, render, render_with


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Object]]:
    """The objects of each overlay, and of prod with each component that it leaves to choice."""
    chosen = {f"prod+{name}": render_with(tmp_path_factory.mktemp(name), "prod", [name]) for name in CHOSEN}
    return {name: render(ROOT / "k8s" / "overlays" / name) for name in OVERLAYS} | chosen
