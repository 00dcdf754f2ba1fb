"""Which columns of a Parquet file hold images and their classes, as Hugging Face's datasets write them."""

import json
from dataclasses import dataclass

import pyarrow
from pyarrow import types

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.listed_names import ListedNames, require_distinct
from sanefit.components.foundation.image_dataset.sources.table_rows import COLUMNS

IMAGE, LABEL = "image", "label"
METADATA = b"huggingface"


@dataclass(frozen=True)
class ImageColumns:
    """Names of columns, those inside others with dots between.

    ``content``: of the images' bytes. ``path``: of their names, empty when there is none. ``label``: of their classes,
    empty when these are not asked for. ``class_names``: of numbered ones.
    """

    content: str
    path: str
    label: str
    class_names: ListedNames

    @property
    def told(self) -> tuple[str, ...]:
        """The column of the classes, where they are asked for."""
        return (self.label,) if self.label else ()


def image_columns(schema: pyarrow.Schema, file: str, *, labeled: bool = True) -> ImageColumns | None:
    """The columns of embedded images: a struct with bytes, or, in a table without a column ``path``, binary values.

    Args:
        schema: of a file.
        file: what users call it.
        labeled: whether the classes are asked for.

    Returns:
        None when there is no such column.

    Raises:
        DataError: when there are several, or none tells the class.
    """
    structs = [field.name for field in schema if _has_bytes(field.type)]
    plain = [field.name for field in schema if _is_binary(field.type)] if "path" not in schema.names else []
    found = structs or [name for name in plain if name not in COLUMNS]
    if not found:
        return None
    if len(found) > 1 and IMAGE not in found:
        raise DataError(
            f"data.source: {file!r} has several columns of images, {', '.join(found)}; expected one, or one of them "
            f"named {IMAGE}; leave out the others, or rename it"
        )
    name = IMAGE if IMAGE in found else found[0]
    numbered = _class_labels(schema)
    label = _label_column(schema, name, sorted(numbered), file) if labeled else ""
    names = ListedNames(require_distinct(numbered[label], file), file) if label in numbered else ListedNames([])
    if not structs:
        return ImageColumns(name, "", label, names)
    has_path = schema.field(name).type.get_field_index("path") >= 0
    return ImageColumns(f"{name}.bytes", f"{name}.path" if has_path else "", label, names)


def _label_column(schema: pyarrow.Schema, image: str, numbered: list[str], file: str) -> str:
    label = numbered[0] if LABEL not in schema.names and len(numbered) == 1 else LABEL
    if label not in schema.names:
        raise DataError(
            f"data.source: {file!r} has images in its column {image!r}, and no column {LABEL!r} beside it, but "
            f"{', '.join(other for other in schema.names if other != image) or 'nothing'}; expected the classes of "
            "the images; add it, or rename one"
        )
    kind = schema.field(label).type
    if not (types.is_integer(kind) or types.is_dictionary(kind) or _is_text(kind)):
        raise DataError(
            f"data.source: {file!r}: its column {label!r} holds {kind}; expected the number or the name of one class "
            "for each image; correct it"
        )
    return label


def _class_labels(schema: pyarrow.Schema) -> dict[str, list[str]]:
    """The names of the classes of each column that the metadata gives names for."""
    try:
        features = json.loads((schema.metadata or {}).get(METADATA, b"{}"))["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if column in schema.names and isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (ValueError, LookupError, TypeError, AttributeError):  # not written by datasets
        return {}


def _has_bytes(kind: pyarrow.DataType) -> bool:
    return bool(types.is_struct(kind)) and kind.get_field_index("bytes") >= 0 and _is_binary(kind.field("bytes").type)


def _is_binary(kind: pyarrow.DataType) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_text(kind: pyarrow.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
