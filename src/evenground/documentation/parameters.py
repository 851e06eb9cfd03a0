"""docs/parameters.md, generated from the model of an experiment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evenground.config import LISTS, Experiment


def parameters_page() -> str:
    """`docs/parameters.md`: one row per key of the model."""
    lines = [
        "# Parameters",
        "",
        "Written by `python scripts/parameters.py` from `src/evenground/config.py`. With lists, "
        "the",
        "experiment is their cross product: [sweeps.md](sweeps.md).",
        "",
        "| key | type | unit | default | meaning |",
        "|---|---|---|---|---|",
    ]
    defaults = Experiment().model_dump(mode="json", exclude_none=True)
    for name, key in Experiment.model_json_schema()["properties"].items():
        kind = _type_text(key)
        if name in LISTS:
            kind += ", or a list"
        unit, default = key["unit"] or "", json.dumps(defaults[name])
        lines.append(f"| `{name}` | {kind} | {unit} | `{default}` | {key['description']} |")
    return "\n".join(lines) + "\n"


def _type_text(key: Mapping[str, Any]) -> str:
    """`integer`, or the allowed values, from one property of a JSON Schema."""
    if "anyOf" in key:
        return " or ".join(map(_type_text, key["anyOf"]))
    if "enum" in key:
        return " or ".join(f"`{value}`" for value in key["enum"])
    if "const" in key:
        return f"`{key['const']}`"
    return str(key["type"])
