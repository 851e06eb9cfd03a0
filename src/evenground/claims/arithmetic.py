"""What the thesis derives from its own numbers, computed again from those numbers alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evenground.analysis.columns import UNIT, number, text
from evenground.analysis.table import Table, frame_of
from evenground.claims.published import Number

ABOVE, BELOW = "above 1", "below 1"
# The error of decimal numbers in binary form.
BINARY = 1e-9
TITLE = "The thesis's own arithmetic"
NOTE = (
    "What the thesis derives from its own published numbers (data/published/thesis-2022.csv), "
    "computed again. No run of ours is in it."
)
TABLE = (
    text("claim", "Name of the claim; `slip` for a slip of the text, on which nothing depends."),
    text("quantity", "What was derived."),
    text("stated", "What the thesis states: a number, or on which side of 1 a ratio lies."),
    number("recomputed", UNIT, "What follows from its other numbers."),
    UNIT,
    text("agrees", "Whether both agree, within the rounding of the last digit stated."),
    text("remark", "Where the difference comes from."),
)
Values = Mapping[str, float]
"""Id of a published number -> its value."""


@dataclass(frozen=True)
class Check:
    """A derived number, or a derived order of two numbers, and how it follows from others."""

    claim: str
    compute: Callable[[Values], float]
    # Id under which a derived number was published; empty for an order.
    published: str = ""
    # Of an order: what is compared, and on which side of 1 the ratio was said to lie.
    quantity: str = ""
    stated: str = ""
    remark: str = ""


def _ratio(above: str, below: str) -> Callable[[Values], float]:
    return lambda value: value[above] / value[below]


def _longer_pct(above: str, below: str) -> Callable[[Values], float]:
    """Return how many per cent the first number is greater than the second."""
    return lambda value: 100 * (value[above] / value[below] - 1)


def _shorter_pct(above: str, below: str) -> Callable[[Values], float]:
    """Return how many per cent the first number is less than the second."""
    return lambda value: 100 * (1 - value[above] / value[below])


def _mean_shorter_pct(value: Values) -> float:
    mnist = _shorter_pct("time-mnist-python", "time-mnist-elixir")(value)
    cifar10 = _shorter_pct("time-cifar10-python", "time-cifar10-elixir")(value)
    return (mnist + cifar10) / 2


def _softmax(value: Values) -> float:
    """Return the softmax of two scores for the first of them."""
    return 1 / (1 + math.exp(value["softmax-second-score"] - value["softmax-score"]))


def _zero_cifar10_s(value: Values) -> float:
    """Return the sum of the two intervals in which GPU use was zero."""
    first_s = value["gpu-zero-to-1-cifar10"] - value["gpu-zero-from-1-cifar10"]
    second_s = value["gpu-zero-to-2-cifar10"] - value["gpu-zero-from-2-cifar10"]
    return first_s + second_s


CHECKS = (
    Check(
        claim="T1",
        published="longer-mnist",
        compute=_longer_pct("time-mnist-elixir", "time-mnist-python"),
    ),
    Check(
        claim="T2",
        published="longer-cifar10",
        compute=_longer_pct("time-cifar10-elixir", "time-cifar10-python"),
    ),
    Check(
        claim="T3",
        published="shorter-mean",
        compute=_mean_shorter_pct,
        remark="the mean of 25.49 % (MNIST) and 19.30 % (CIFAR-10): how much shorter Python's "
        "times are than Elixir's, where T1 and T2 say how much longer Elixir's are than Python's",
    ),
    Check(
        claim="X1",
        published="speed-up-exla",
        compute=_ratio("time-mnist-without-exla", "time-mnist-elixir"),
        remark="1,350 would be 7 h 39 min",
    ),
    Check(
        claim="L1",
        published="lines-saved",
        compute=_shorter_pct("lines-axon", "lines-nx"),
    ),
    Check(
        claim="R1",
        published="ram-less-mnist",
        compute=_shorter_pct("ram-mnist-elixir", "ram-mnist-python"),
    ),
    Check(
        claim="R1",
        published="ram-less-cifar10",
        compute=_shorter_pct("ram-cifar10-elixir", "ram-cifar10-python"),
        remark="28 % is how much more Python uses than Elixir; on MNIST the other base was taken",
    ),
    Check(
        claim="G3",
        published="gpu-zero-mnist",
        compute=lambda value: value["gpu-zero-to-mnist"] - value["gpu-zero-from-mnist"],
    ),
    Check(
        claim="G3",
        published="gpu-zero-cifar10",
        compute=_zero_cifar10_s,
        remark="2.4 s and 1.3 s",
    ),
    Check(
        claim="G4",
        quantity="steady GPU use on MNIST, Elixir over Python",
        stated=BELOW,
        compute=_ratio("gpu-steady-mnist-elixir", "gpu-steady-mnist-python"),
        remark="of steady use; at the peak Elixir's is the higher one (80 against 19 %)",
    ),
    Check(
        claim="G4",
        quantity="steady GPU use on CIFAR-10, Elixir over Python",
        stated=ABOVE,
        compute=_ratio("gpu-steady-cifar10-elixir", "gpu-steady-cifar10-python"),
        remark="at the peak Elixir's is the higher one, too (80 against 25 %)",
    ),
    Check(
        claim="V3",
        quantity="peak of VRAM on MNIST, Elixir over Python",
        stated=BELOW,
        compute=_ratio("vram-mnist-elixir", "vram-mnist-python"),
        remark="V1 says the contrary: 13.42 against 11.49 %",
    ),
    Check(
        claim="V3",
        quantity="peak of VRAM on CIFAR-10, Elixir over Python",
        stated=ABOVE,
        compute=_ratio("vram-cifar10-elixir", "vram-cifar10-python"),
        remark="V1 has the same number twice, 38.85 %",
    ),
    # Slips of the text: nothing that was measured depends on them.
    Check(
        claim="slip",
        published="pixels-image",
        compute=lambda value: value["pixels-side"] ** 2,
        remark="the network's input is right",
    ),
    Check(
        claim="slip",
        published="dropout-percent",
        compute=lambda value: 100 * value["dropout-rate"],
        remark="the listings are right",
    ),
    Check(
        claim="slip",
        published="softmax-share",
        compute=_softmax,
        remark="0.641 is 100 over the sum of the scores: a division, not a softmax",
    ),
)


def arithmetic(numbers: Mapping[str, Number]) -> Table:
    """Return one row per derived number: as stated, as recomputed, and whether they agree.

    They agree if the difference is within the rounding of the last digit stated.
    """
    values = {name: float(number.value) for name, number in numbers.items()}
    rows = []
    for check in CHECKS:
        recomputed = check.compute(values)
        quantity, stated, unit = check.quantity, check.stated, "1"
        # Of equal numbers neither order is true.
        agrees = recomputed > 1 if stated == ABOVE else recomputed < 1
        if check.published:
            number = numbers[check.published]
            quantity = f"{number.quantity}, {number.dataset}"
            stated, unit = str(number.value), number.unit
            agrees = abs(recomputed - float(number.value)) <= number.half_digit + BINARY
        rows.append(
            {
                "claim": check.claim,
                "quantity": quantity,
                "stated": stated,
                "recomputed": recomputed,
                "unit": unit,
                "agrees": "yes" if agrees else "no",
                "remark": check.remark,
            }
        )
    return Table(
        name="arithmetic",
        title=TITLE,
        columns=TABLE,
        rows=frame_of(rows, TABLE),
        notes=(NOTE,),
    )
