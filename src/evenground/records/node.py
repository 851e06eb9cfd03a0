"""`results/nodes/KIND.json`: the machine class of a cluster's kind of node."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from evenground.records.base import Record


class Node(Record):
    """What a probe found on a node of the kind."""

    WHAT: ClassVar[str] = "record of a node"

    class_name: str = Field(validation_alias="class", serialization_alias="class")
    description: str
    host: str
