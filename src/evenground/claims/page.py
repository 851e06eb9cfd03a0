"""The table of claims in docs/claims.md, made from claims.yaml so that it cannot go out of date."""

from __future__ import annotations

from evenground.claims.model import Claim, Claims

HEADING = "## The claims\n"
_HEAD = "| id | section | claim | estimate | claimed | published |\n|---|---|---|---|---|---:|\n"


def with_claims(page: str, claims: Claims) -> str:
    """The page with the table of claims after its heading, which is the last."""
    before = page.partition(HEADING)[0].rstrip("\n")
    return f"{before}\n\n{HEADING}\n{_HEAD}" + "".join(_row(claim) for claim in claims.claims)


def _row(claim: Claim) -> str:
    published = "–" if claim.published is None else f"{claim.published:g}"
    cells = (claim.id, claim.section, claim.statement, _estimate(claim), _claimed(claim), published)
    return f"| {' | '.join(cells)} |\n"


def _estimate(claim: Claim) -> str:
    """What is estimated, in words."""
    if claim.code:
        return f"ratio of lines of code, {claim.code.of} over {claim.code.over}"
    given = claim.arguments
    if given is None:
        return f"none: {claim.untestable}"
    what = f"`{given.measure}`" + (f" of {given.resource}" if given.resource else "")
    roles = given.of if given.over is None else f"{given.of} over {given.over}"
    return f"{claim.estimator} of {what}, {roles}, {', '.join(given.datasets)}"


def _claimed(claim: Claim) -> str:
    unit = "" if claim.unit == "1" else f" {claim.unit}"
    bound = f"{claim.bound:g}"
    words = {
        "greater": f"above {bound}",
        "less": f"below {bound}",
        "alike": f"{1 / claim.bound:.3g} to {bound}",
        "at_most": f"at most {bound}",
    }
    return words[claim.direction] + unit
