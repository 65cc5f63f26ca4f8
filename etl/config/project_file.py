"""`etl.yml` -> Project: overlay the profile, substitute, validate."""

from __future__ import annotations

from typing import Any

from etl.config.explanation import Place, validate
from etl.config.faults import ConfigFaults, Location, nearest, shown
from etl.config.interpolation import Surroundings, interpolate
from etl.config.project_keys import ProfileFile, ProjectFile
from etl.config.yaml_reader import Document, read_yaml
from etl.notifying import ReceiverOptions, receiver_of
from etl.project import DEFAULT_LIMIT, Project, absolute
from etl.secrets import is_secret_name, register_secret

PROJECT_FILE = "etl.yml"


def read_project(surroundings: Surroundings, profile: str | None) -> Project:
    """Return the project of a folder. Raises ConfigFaults with everything that is wrong in ``etl.yml``."""
    path = surroundings.folder / PROJECT_FILE
    document = read_yaml(path, PROJECT_FILE) if path.exists() else Document(PROJECT_FILE)
    _check_profiles(document)
    if profile is not None and not document.faults:
        _overlay(document, profile)
    interpolate(document, surroundings, skip="profiles")
    _register_secrets(document.data)
    settled = {key: value for key, value in document.data.items() if key != "profiles"}
    settings = validate(ProjectFile, settled, Place(document))
    if settings is not None:
        _check_receivers(document, settings.alerts)
    if document.faults or settings is None:
        raise ConfigFaults(document.faults)
    register_secret(settings.serve.token or "")
    return Project(
        folder=surroundings.folder,
        lake=absolute(surroundings.folder, settings.lake),
        storage_options={scheme: _given(options) for scheme, options in settings.storage.items()},
        memory_bytes=settings.memory,
        limit=settings.defaults.batch.limit(DEFAULT_LIMIT),
        profile=profile,
        receivers=tuple(receiver_of(each) for each in settings.alerts),
        serve=settings.serve,
    )


def _given(options: dict[str, str]) -> dict[str, str]:
    """Return the options that are not empty: ``${S3_ENDPOINT:-}`` is how an option is left out."""
    return {name: value for name, value in options.items() if value}


def _check_receivers(document: Document, receivers: list[ReceiverOptions]) -> None:
    names = [each.name for each in receivers]
    for place, name in enumerate(names):
        if name in names[:place]:
            document.fault(("alerts", place, "name"), f"'{name}' is the name of receiver {names.index(name)} too")


def _check_profiles(document: Document) -> None:
    """Validate every profile, also those not chosen: as far as that goes without their variables."""
    profiles = document.data.get("profiles", {})
    if not isinstance(profiles, dict):
        document.fault(("profiles",), f"expected a mapping, got {shown(profiles)}")
        return
    for name, content in profiles.items():
        validate(ProfileFile, content, Place(document, ("profiles", name)), lenient=True)
        if isinstance(content, dict):
            _register_secrets(content)


def _overlay(document: Document, profile: str) -> None:
    """Lay the profile's keys over the project's: mappings are merged, everything else is replaced."""
    profiles = document.data.get("profiles")
    known = profiles if isinstance(profiles, dict) else {}
    if profile not in known:
        document.fault(("profiles",), f"unknown profile {shown(profile)}{nearest(profile, known)}", key=True)
        return
    if isinstance(known[profile], dict):
        document.data = _merged(document, document.data, known[profile], ("profiles", profile), ())


def _merged(document: Document, under: Any, over: Any, origin: Location, location: Location) -> Any:  # noqa: ANN401  plain values
    """Return ``over`` on ``under``; ``location`` takes on the positions of ``origin``."""
    if location:
        document.values[location] = document.values[origin]
    if location and origin in document.keys:
        document.keys[location] = document.keys[origin]
    if isinstance(over, dict):
        below = under if isinstance(under, dict) else {}
        inner = {
            key: _merged(document, below.get(key), value, (*origin, key), (*location, key))
            for key, value in over.items()
        }
        return {**below, **inner}
    if isinstance(over, list):
        return [
            _merged(document, None, value, (*origin, index), (*location, index)) for index, value in enumerate(over)
        ]
    return over


def _register_secrets(settings: dict[str, Any]) -> None:
    """Hide storage options whose name says that they are secret, and URLs of receivers, wherever they are written."""
    alerts = settings.get("alerts")
    for entry in alerts if isinstance(alerts, list) else ():
        if isinstance(entry, dict) and isinstance(url := entry.get("url"), str) and "${" not in url:
            register_secret(url)
    storage = settings.get("storage")
    for options in storage.values() if isinstance(storage, dict) else ():
        for name, value in options.items() if isinstance(options, dict) else ():
            if is_secret_name(name) and isinstance(value, str | int) and "${" not in str(value):
                register_secret(str(value))
