"""Kinds of values in the section ``cluster``, each checked for its form."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator


def number_as_text(value: object) -> object:
    """YAML reads ``cpu: 4`` as a number; Kubernetes takes quantities as text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def in_form(pattern: str, expected: str) -> AfterValidator:
    """Refuses a text that does not match the whole pattern, and says what was expected."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {expected}")
        return text

    return AfterValidator(check)


OBJECT_NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
ObjectName = Annotated[str, in_form(OBJECT_NAME, "the name of a Kubernetes object, as in sanefit-s3")]
OptionalObjectName = Annotated[
    str, in_form(f"({OBJECT_NAME})?", "the name of a Kubernetes object, as in sanefit-s3, or nothing")
]
ResourceName = Annotated[
    str,
    in_form(
        r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?",
        "an extended resource, as in nvidia.com/gpu or nvidia.com/mig-1g.10gb",
    ),
]
Cpu = Annotated[
    str,
    BeforeValidator(number_as_text),
    in_form(r"[1-9][0-9]*m?|[0-9]+\.[0-9]*[1-9]", "a number of cores above 0, as in 4, 0.5 or 500m"),
]
Gpus = Annotated[
    str, BeforeValidator(number_as_text), in_form(r"0|[1-9][0-9]?", "0 (a cluster without GPUs) to 99, for each pack")
]
Bytes = Annotated[str, in_form(r"[1-9][0-9]*(Ki|Mi|Gi|Ti)", "a size in Ki, Mi, Gi or Ti, as in 16Gi")]
Duration = Annotated[str, in_form(r"[1-9][0-9]*[smh]", "seconds, minutes or hours, as in 30s, 5m or 1h")]
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def in_bytes(size: str) -> int:
    """What a size of ``Bytes`` stands for."""
    return int(size[:-2]) * UNITS[size[-2:]]


PART = r"/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+"
Folder = Annotated[str, in_form(rf"({PART})+", "an absolute path without . and .., as in /mnt/photos")]
StoragePlace = Annotated[
    str,
    in_form(
        rf"((s3|gs|az)://[a-z0-9][a-z0-9._-]{{1,61}}[a-z0-9](/.*)?|file://({PART})+)?",
        "a bucket and prefix, as in s3://, gs:// or az://bucket/sanefit, or a folder of a volume, as in "
        "file:///mnt/sanefit",
    ),
]
AzureAccount = Annotated[str, in_form(r"([a-z0-9]{3,24})?", "the name of a storage account, as in contosophotos")]
ImageReference = Annotated[
    str,
    in_form(
        r"(([^\s@:/]+(:[0-9]+)?/)?[^\s@:]+((:[\w][\w.-]*)?@sha256:[0-9a-f]{64}|:(?!latest$)[\w][\w.-]*))?",
        "an image by its digest, as in registry.example.com/team/trainer@sha256:…, or by a tag other than latest",
    ),
]
LABEL_NAME = r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?"
VolumePart = Annotated[
    str,
    BeforeValidator(number_as_text),
    in_form(rf"([\w-][\w.-]*({PART})*)?", "a path in the volume, as in photos/2026"),
]
LabelName = Annotated[str, in_form(LABEL_NAME, "a name as Kubernetes wants it, as in team or example.com/team")]
LabelValue = Annotated[
    str,
    BeforeValidator(number_as_text),
    in_form(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", "at most 63 letters, digits, '-', '_' and '.'"),
]
Url = Annotated[
    str, in_form(r"(https?://[^\s/@]+(/\S*)?)?", "a URL without a password, as in http://mlflow.mlflow.svc:5000")
]
