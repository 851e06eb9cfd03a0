"""The table of claims in docs/claims.md, generated from claims.yaml."""

from __future__ import annotations

from evenground.claims.model import Claim, Claims

HEADING = "## The claims\n"
_HEAD = "| id | section | claim | estimate | claimed | published |\n|---|---|---|---|---|---:|\n"


def with_claims(page: str, claims: Claims) -> str:
    """Return the page with the table of claims after its heading, which is the last one."""
    before = page.partition(HEADING)[0].rstrip("\n")
    rows = "".join(_row(claim) for claim in claims.claims)
    return f"{before}\n\n{HEADING}\n{_HEAD}{rows}"


def _row(claim: Claim) -> str:
    published = "–"
    if claim.published is not None:
        published = f"{claim.published:g}"
    cells = (claim.id, claim.section, claim.statement, _estimate(claim), _claimed(claim), published)
    return f"| {' | '.join(cells)} |\n"


def _estimate(claim: Claim) -> str:
    """Describe what is estimated."""
    if claim.code:
        return f"ratio of lines of code, {claim.code.of} over {claim.code.over}"
    arguments = claim.arguments
    if arguments is None:
        return f"none: {claim.untestable}"
    measure = f"`{arguments.measure}`"
    if arguments.resource:
        measure += f" of {arguments.resource}"
    roles = " over ".join(arguments.roles)
    return f"{claim.estimator} of {measure}, {roles}, {', '.join(arguments.datasets)}"


def _claimed(claim: Claim) -> str:
    """Describe the values that the claim allows."""
    bound = f"{claim.bound:g}"
    allowed = {
        "greater": f"above {bound}",
        "less": f"below {bound}",
        "alike": f"{1 / claim.bound:.3g} to {bound}",
        "at_most": f"at most {bound}",
    }
    return allowed[claim.direction] + claim.unit_suffix
