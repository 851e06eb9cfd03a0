"""Validate the RO-Crate in the folder given, offline: the context comes from the package `rocrate`.

That package has the context of a later version, which defines the terms of 1.1 the same way. Prints one line
per requirement that is not met, then how many were checked.
"""

import sys
from pathlib import Path

import requests
import rocrate
from rocrate_validator import services
from rocrate_validator.models import Severity
from rocrate_validator.utils.http import HttpRequester

CONTEXT = Path(rocrate.__file__).parent / "data/ro-crate.jsonld"


def get(self: HttpRequester, url: str, **more: object) -> requests.Response:
    """The context, whatever is asked for: nothing else is, and nothing goes to the network."""
    assert "w3id.org/ro/crate" in url, url
    response = requests.Response()
    response.status_code, response.url, response._content = 200, url, CONTEXT.read_bytes()
    response.headers["Content-Type"] = "application/ld+json"
    return response


HttpRequester.get = get
settings = services.ValidationSettings(
    rocrate_uri=sys.argv[1],
    profile_identifier="process-run-crate",
    requirement_severity=Severity[sys.argv[2]],
    abort_on_first=False,
)
result = services.validate(settings)
for issue in result.get_issues():
    print(f"{issue.check.identifier}: {issue.message}")
print(f"checked {len(result.executed_checks)}")
