"""Croissant metadata of a data set (MLCommons, version 1.0): JSON-LD that search engines and loaders read."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from facetem.data.layout import ARRAYS, GROUP, MANIFEST, RECIPE, TABLES, table_file

if TYPE_CHECKING:
    from facetem.data.store import Store

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
TYPES = {"string": "sc:Text", "int64": "sc:Integer", "double": "sc:Float", "bool": "sc:Boolean"}
ROWS = {"labels": "one row per specimen", "particles": "one row per particle"}


def croissant(store: Store, manifest: bytes) -> dict[str, Any]:
    """The metadata of a complete data set.

    `manifest` is the content of its manifest, which holds the checksums of all shards; the metadata hold that of the
    manifest and of the recipe.
    """
    recipe = store.recipe
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": f"{recipe.name}-{store.split}",
        "description": (
            f"Simulated HRTEM of nanoparticles on amorphous carbon: exit waves, images at the best focus, masks and "
            f"thickness of {store.samples} specimens, drawn by facetem {store.version} from the recipe {recipe.name} "
            f"with seed {recipe.seed}, split {store.split}. Arrays are in zarr (version 3), in the folder {GROUP}."
        ),
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": store.version,
        "distribution": [
            _file(MANIFEST, "application/json", manifest),
            _file(RECIPE, "application/yaml", (store.path / RECIPE).read_bytes()),
            *(_file_set(name, ROWS[name], "application/x-parquet", f"{name}/*.parquet") for name in TABLES),
            *(_file_set(name, "a zarr array", "application/x-zarr", f"{GROUP}/{name}/*") for name in ARRAYS),
        ],
        "recordSet": [_records(store, name) for name in TABLES],
    }


def _file(name: str, kind: str, content: bytes) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{len(content)} B",
        "encodingFormat": kind,
        "sha256": sha256(content).hexdigest(),
    }


def _file_set(name: str, what: str, kind: str, pattern: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{name}-files",
        "name": f"{name}-files",
        "description": f"{what}, in one file per shard",
        "encodingFormat": kind,
        "includes": pattern,
    }


def _records(store: Store, name: str) -> dict[str, Any]:
    """The columns of a table, as the first shard has them."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(store.path / table_file(name, store.shards()[0]))
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": ROWS[name],
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column.name}",
                "name": column.name,
                "dataType": TYPES[str(column.type)],
                "source": {"fileSet": {"@id": f"{name}-files"}, "extract": {"column": column.name}},
            }
            for column in schema
        ],
    }
