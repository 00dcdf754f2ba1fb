"""The section ``cluster``: what is taken, and what is refused with the fix."""

import pytest

from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.settings.run_config import DEFAULT_CONFIG, RunConfig, load_config

DIGEST = "sha256:" + "0a" * 32
VOLUME = "cluster.volumes=[{claim: photos, path: /mnt/photos}]"


def loaded(*overrides: str) -> RunConfig:
    return load_config(DEFAULT_CONFIG, overrides)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["cluster.storage=file:///mnt/runs"], ["'file:///mnt/runs'", "no volume is mounted there"]),
        (["cluster.storage=file:///mnt/photos2", VOLUME], ["no volume is mounted there"]),
        (["cluster.storage=file://mnt/runs"], ["expected a bucket and prefix", "file:///mnt/sanefit"]),
        (["cluster.storage=/mnt/runs"], ["expected a bucket and prefix"]),
        (["cluster.storage=az://container/x"], ["'az://container/x'", "set cluster.azure_account"]),
        (["cluster.azure_account=Not-One"], ["cluster.azure_account='Not-One'", "as in contosophotos"]),
        (["cluster.volumes=[{claim: photos, path: mnt}]"], ["expected an absolute path"]),
        (["cluster.volumes=[{claim: photos, path: /tmp/photos}]"], ["'/tmp/photos' and '/tmp'"]),
        (["cluster.volumes=[{claim: photos, path: /opt}]"], ["'/opt' and '/opt'"]),
        (["cluster.volumes=[{claim: a, path: /mnt}, {claim: b, path: /mnt/b}]"], ["'/mnt/b' and '/mnt'"]),
        (["cluster.volumes=[{claim: Photos, path: /mnt}]"], ["expected the name of a Kubernetes object"]),
        (["cluster.volumes=[{claim: photos, path: /mnt, read_only: true}]"], ["read_only"]),
        (["cluster.volumes=[{claim: photos, path: /mnt/../tmp}]"], ["without . and .."]),
        (["cluster.volumes=[{claim: photos, path: /usr/lib}]"], ["'/usr/lib' and '/usr'"]),
        (["cluster.storage=file:///mnt/photos/../../tmp", VOLUME], ["expected a bucket and prefix"]),
        (["cluster.volumes=[{claim: photos, path: /mnt, sub_path: a/../..}]"], ["expected a path in the volume"]),
        (["cluster.images.trainer=registry.example.com/team/trainer"], ["expected an image by its digest"]),
        (["cluster.images.trainer=registry.example.com/team/trainer:latest"], ["other than latest"]),
        (["cluster.images.trainer=registry.example.com/trainer@sha256:12"], ["expected an image by its digest"]),
        (["cluster.search_packs.labels={team: not a label}"], ["expected at most 63 letters"]),
        (["cluster.search_packs.labels={'-team': a}"], ["expected a name as Kubernetes wants it"]),
        (["cluster.final_training.gpus=many"], ["expected 0 (a cluster without GPUs)"]),
        (["cluster.final_training.memry=1Gi"], ["memry"]),
        (["cluster.final_training=4"], ["cluster.final_training"]),
    ],
)
def test_what_cannot_be_used_is_one_line(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(*overrides)
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    "reference",
    [
        f"registry.example.com:5000/team/trainer@{DIGEST}",
        f"localhost:5001/trainer@{DIGEST}",
        f"registry.example.com/team/trainer:v1@{DIGEST}",
        "sanefit-trainer:my-nets-2",
        "registry.example.com/team/trainer:1.2",
    ],
)
def test_images_of_ones_own(reference: str) -> None:
    assert loaded(f"cluster.images.trainer={reference}").cluster.images.trainer == reference


def test_the_final_training_is_as_the_packs_but_for_what_is_set() -> None:
    cluster = loaded("cluster.search_packs.memory=32Gi", "cluster.search_packs.cpu=8").cluster
    assert (cluster.final_training.memory, cluster.final_training.cpu) == ("32Gi", "8")
    assert cluster.final_training_gpus == "1"
    assert type(cluster).model_validate(cluster.model_dump()) == cluster
    own = loaded(
        "cluster.search_packs.memory=32Gi", "cluster.final_training.memory=64Gi", "cluster.final_training.gpus=0"
    ).cluster
    assert (own.search_packs.memory, own.final_training.memory) == ("32Gi", "64Gi")
    assert (own.gpus, own.final_training_gpus) == ("1", "0")


def test_a_folder_of_a_volume_is_a_storage() -> None:
    cluster = loaded("cluster.storage=file:///mnt/photos/sanefit", VOLUME).cluster
    assert cluster.storage_folder == "/mnt/photos/sanefit"
    for storage in ("s3://bucket/sanefit", "gs://a_bucket/sanefit", "az://container"):
        assert loaded(f"cluster.storage={storage}", "cluster.azure_account=account").cluster.storage_folder == storage
