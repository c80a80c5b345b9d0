"""Definitions of message types, as the packages that are installed here have them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from siam_tracker_ros.errors import SiamTrackerError


class UnknownTypeError(SiamTrackerError):
    """A message type that is not installed here."""


class MessageDefinitions:
    """Definition and hash by type name (`sensor_msgs/msg/Image`), read once."""

    def __init__(self) -> None:
        self._store = get_typestore(Stores.EMPTY)

    def definition(self, type_name: str) -> str:
        """The definition with those of all types in it, as bags carry it. Raises UnknownTypeError."""
        self._read(type_name)
        return self._store.generate_msgdef(type_name, ros_version=2)[0]

    def hash(self, type_name: str) -> str:
        """The type's hash, `RIHS01_` and hex digits. Raises UnknownTypeError."""
        self._read(type_name)
        return self._store.hash_rihs01(type_name)

    def _read(self, type_name: str) -> None:
        missing = [type_name]
        while missing:
            name = missing.pop()
            if name in self._store.fielddefs:
                continue
            found = _parsed(name)
            self._store.register(found)
            missing += [used for fields in found.values() for used in _used(fields)]


def message_class(type_name: str) -> Any:
    """The Python class of a message type. Raises UnknownTypeError."""
    package, _, name = type_name.replace("/msg/", "/").partition("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise UnknownTypeError(
            f"type {type_name} is not installed here: build or source {package}"
        ) from error


def _parsed(type_name: str) -> Any:
    package, _, name = type_name.replace("/msg/", "/").partition("/")
    try:
        share = Path(get_package_share_directory(package))
    except (PackageNotFoundError, ValueError) as error:
        raise UnknownTypeError(
            f"type {type_name} is not installed here: build or source {package}"
        ) from error
    definition = share / "msg" / f"{name}.msg"
    if definition.is_file():
        return get_types_from_msg(definition.read_text(encoding="utf-8"), type_name)
    # A package may describe its types in IDL alone.
    definition = definition.with_suffix(".idl")
    if definition.is_file():
        return get_types_from_idl(definition.read_text(encoding="utf-8"))
    raise UnknownTypeError(f"{share / 'msg'} has no definition of {type_name}")


def _used(fields: Any) -> Iterator[str]:
    """Names of the message types that a type's fields are of."""
    _, members = fields
    for _, (kind, of) in members:
        if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            kind, of = of[0]
        if kind == Nodetype.NAME:
            yield of
