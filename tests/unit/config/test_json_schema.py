from __future__ import annotations

import json

from etl.config.json_schema import json_schema


def test_the_schema_of_both_files_is_plain_json() -> None:
    assert list(json.loads(json.dumps(json_schema()))) == ["project", "pipeline"]


def test_the_project_schema_has_the_keys_of_the_project_file() -> None:
    project = json_schema()["project"]
    assert sorted(project["properties"]) == ["defaults", "lake", "memory", "profiles", "serve", "storage", "version"]
    assert project["additionalProperties"] is False


def test_a_source_is_described_by_its_type_with_the_common_keys() -> None:
    (source,) = json_schema()["pipeline"]["properties"]["source"]["anyOf"]
    assert source["properties"]["type"] == {"const": "files"}
    assert {"schema", "batch", "path", "format", "after_commit"} <= set(source["properties"])
    assert source["required"] == ["type"]
    assert source["additionalProperties"] is False


def test_a_transform_is_a_mapping_of_one_key() -> None:
    items = json_schema()["pipeline"]["properties"]["transforms"]["items"]["anyOf"]
    assert [item["required"] for item in items] == [["deduplicate"], ["filter"], ["python"]]
    assert all(item["additionalProperties"] is False for item in items)


def test_every_reference_leads_somewhere() -> None:
    for schema in json_schema().values():
        names = set(schema["$defs"])
        references = {part.split('"')[0] for part in json.dumps(schema).split("#/$defs/")[1:]}
        assert references
        assert references <= names
