"""What the thesis derives from its own numbers, computed again from those numbers alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from evenground.analysis.statistics import added
from evenground.claims.published import Number

Values = Mapping[str, float]


@dataclass(frozen=True)
class Derived:
    """A derived number: the id it was published under, how it follows from others, and what to say of it."""

    claim: str
    published: str
    compute: Callable[[Values], float]
    remark: str = ""


@dataclass(frozen=True)
class Order:
    """A derived order of two languages: the ratio of two numbers, and whether it was said to be above 1."""

    claim: str
    what: str
    above: str
    below: str
    greater: bool
    remark: str = ""


def _longer(above: str, below: str) -> Callable[[Values], float]:
    """How many per cent the first is more than the second."""
    return lambda value: 100 * (value[above] / value[below] - 1)


def _shorter(above: str, below: str) -> Callable[[Values], float]:
    """How many per cent the first is less than the second."""
    return lambda value: 100 * (1 - value[above] / value[below])


def _mean_shorter(value: Values) -> float:
    parts = [_shorter(f"time-{d}-python", f"time-{d}-elixir")(value) for d in ("mnist", "cifar10")]
    return added(parts) / len(parts)


def _softmax(value: Values) -> float:
    return 1 / (1 + math.exp(value["softmax-second-score"] - value["softmax-score"]))


def _zero_s(value: Values) -> float:
    return added(
        value[f"gpu-zero-to-{k}-cifar10"] - value[f"gpu-zero-from-{k}-cifar10"] for k in (1, 2)
    )


CHECKS: tuple[Derived | Order, ...] = (
    Derived("T1", "longer-mnist", _longer("time-mnist-elixir", "time-mnist-python")),
    Derived("T2", "longer-cifar10", _longer("time-cifar10-elixir", "time-cifar10-python")),
    Derived(
        "T3",
        "shorter-mean",
        _mean_shorter,
        "the mean of 25.49 % (MNIST) and 19.30 % (CIFAR-10): how much shorter Python's times are than "
        "Elixir's, where T1 and T2 say how much longer Elixir's are than Python's",
    ),
    Derived(
        "X1",
        "speed-up-exla",
        lambda value: value["time-mnist-without-exla"] / value["time-mnist-elixir"],
        "1,350 would be 7 h 39 min",
    ),
    Derived("L1", "lines-saved", _shorter("lines-axon", "lines-nx")),
    Derived("R1", "ram-less-mnist", _shorter("ram-mnist-elixir", "ram-mnist-python")),
    Derived(
        "R1",
        "ram-less-cifar10",
        _shorter("ram-cifar10-elixir", "ram-cifar10-python"),
        "28 % is how much more Python uses than Elixir; on MNIST the other base was taken",
    ),
    Derived(
        "G3",
        "gpu-zero-mnist",
        lambda value: value["gpu-zero-to-mnist"] - value["gpu-zero-from-mnist"],
    ),
    Derived("G3", "gpu-zero-cifar10", _zero_s, "2.4 s and 1.3 s"),
    Order(
        "G4",
        "steady GPU use on MNIST, Elixir over Python",
        "gpu-steady-mnist-elixir",
        "gpu-steady-mnist-python",
        False,
        "of steady use; at the peak Elixir's is the higher one (80 against 19 %)",
    ),
    Order(
        "G4",
        "steady GPU use on CIFAR-10, Elixir over Python",
        "gpu-steady-cifar10-elixir",
        "gpu-steady-cifar10-python",
        True,
        "at the peak Elixir's is the higher one, too (80 against 25 %)",
    ),
    Order(
        "V3",
        "peak of VRAM on MNIST, Elixir over Python",
        "vram-mnist-elixir",
        "vram-mnist-python",
        False,
        "V1 says the contrary: 13.42 against 11.49 %",
    ),
    Order(
        "V3",
        "peak of VRAM on CIFAR-10, Elixir over Python",
        "vram-cifar10-elixir",
        "vram-cifar10-python",
        True,
        "V1 has the same number twice, 38.85 %",
    ),
    Derived(
        "slip",
        "pixels-image",
        lambda value: value["pixels-side"] ** 2,
        "the network's input is right",
    ),
    Derived(
        "slip",
        "dropout-percent",
        lambda value: 100 * value["dropout-rate"],
        "the listings are right",
    ),
    Derived(
        "slip",
        "softmax-share",
        _softmax,
        "0.641 is 100 over the sum of the scores: a division, not a softmax",
    ),
)
COLUMNS = ("claim", "quantity", "stated", "recomputed", "unit", "agrees", "remark")


def arithmetic(numbers: Mapping[str, Number]) -> pd.DataFrame:
    """One row per derived number: as stated, as recomputed, and whether they agree within rounding."""
    values = {name: float(number.value) for name, number in numbers.items()}
    rows = [
        _derived(c, numbers, values) if isinstance(c, Derived) else _order(c, values)
        for c in CHECKS
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _derived(check: Derived, numbers: Mapping[str, Number], values: Values) -> dict[str, object]:
    stated, recomputed = numbers[check.published], check.compute(values)
    # A billionth forgives the binary form of decimal numbers.
    agrees = abs(recomputed - values[check.published]) <= stated.half_digit + 1e-9
    named = {"claim": check.claim, "quantity": f"{stated.quantity}, {stated.dataset}"}
    return {**named, **_row(str(stated.value), recomputed, stated.unit, agrees, check.remark)}


def _order(check: Order, values: Values) -> dict[str, object]:
    ratio = values[check.above] / values[check.below]
    stated = "above 1" if check.greater else "below 1"
    agrees = ratio > 1 if check.greater else ratio < 1
    return {
        "claim": check.claim,
        "quantity": check.what,
        **_row(stated, ratio, "1", agrees, check.remark),
    }


def _row(stated: str, recomputed: float, unit: str, agrees: bool, remark: str) -> dict[str, object]:
    said = {"stated": stated, "recomputed": recomputed, "unit": unit}
    return {**said, "agrees": "yes" if agrees else "no", "remark": remark}
