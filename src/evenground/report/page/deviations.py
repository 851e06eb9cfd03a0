"""How the recorded experiment differs from the thesis's; the numbers come from the index."""

from __future__ import annotations

from collections.abc import Iterator

from evenground.records.index import Index

# The thesis's own protocol: docs/specification.md.
PROTOCOL = {"epochs": 3, "batch_size": 32, "repetitions": 5}
DATASETS = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
ROLES = {"axon": "Elixir (Axon on EXLA)", "keras": "Python (Keras)"}


def deviations(index: Index) -> Iterator[str]:
    """One sentence for each difference, as Markdown."""
    for description in dict.fromkeys(machine.description for machine in index.machines):
        yield (
            f"Machine: {description}; the thesis used an Intel i5-3570 with an NVIDIA RTX "
            "3060 Ti, driver 470.103.01, CUDA 11.4."
        )
    for differences in (_engines, _datasets, _arms, _parameters, _always):
        yield from differences(index)


def _engines(index: Index) -> list[str]:
    trained = {engine.name for engine in index.engines}
    return [f"{label} was not trained." for name, label in ROLES.items() if name not in trained]


def _datasets(index: Index) -> list[str]:
    trained = {dataset.name for dataset in index.datasets}
    missing = ", ".join(title for name, title in DATASETS.items() if name not in trained)
    others = ", ".join(d.title for d in index.datasets if d.name not in DATASETS)
    if missing and others:
        return [f"Not trained: {missing}; trained instead: {others}."]
    if missing:
        return [f"Not trained: {missing}."]
    if others:
        return [f"Trained beside: {others}."]
    return []


def _arms(index: Index) -> list[str]:
    lines = []
    arms = [engine.label for engine in index.engines if engine.arm_of is not None]
    if arms:
        lines.append(f"Variants beside the main comparison: {', '.join(arms)}.")
    limited = [engine.label for engine in index.engines if engine.train_limit is not None]
    if limited:
        what = (
            "Trained on the first examples only, and in claims about times "
            "extrapolated to all of them"
        )
        lines.append(f"{what}: {'; '.join(limited)}.")
    return lines


def _parameters(index: Index) -> list[str]:
    lines = []
    for name, in_thesis in PROTOCOL.items():
        values = _values(index, name)
        if values != [str(in_thesis)]:
            lines.append(f"`{name}` is {', '.join(values)}; {in_thesis} in the thesis.")
    return lines


def _values(index: Index, name: str) -> list[str]:
    """The values of a parameter in any condition, each once."""
    values = [getattr(condition.parameters, name) for condition in index.conditions]
    return [f"{value:g}" for value in dict.fromkeys(values)]


def _always(index: Index) -> list[str]:
    sampled = f"{' or '.join(_values(index, 'sampling_rate_hz'))} times a second"
    return [
        "Every engine trains the networks the thesis describes; its public Python code trains "
        "others: two hidden layers on MNIST, neither batch norm nor dropout and SGD on CIFAR-10, "
        "with shuffling.",
        f"Resources are read from the kernel for the training's own processes {sampled}, each row "
        "with its time; the thesis's sampler gave the mean since boot for the CPU and the whole "
        "machine's memory. Both are recorded.",
        "Runs are ordered in randomised complete blocks, the thesis's order was fixed. Accuracy is "
        "measured on the test examples; the thesis's Elixir code evaluates on its training "
        "examples.",
    ]
