"""In what the recorded experiment departs from the thesis's; the numbers come from the index."""

from __future__ import annotations

from evenground.analysis.index import Index

# docs/specification.md; the thesis's own protocol.
PROTOCOL = {"epochs": 3, "batch_size": 32, "repetitions": 5}
DATASETS = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
ROLES = {"axon": "Elixir (Axon on EXLA)", "keras": "Python (Keras)"}


def deviations(index: Index) -> list[str]:
    """One sentence each; what is as in the thesis is not listed."""
    return [*_work(index), *_parameters(index), *_always(index)]


def _work(index: Index) -> list[str]:
    lines = [
        f"Machine: {index.machine.description}; the thesis used an Intel i5-3570 with an NVIDIA RTX 3060 Ti, "
        "driver 470.103.01, CUDA 11.4."
    ]
    engines = {engine.name for engine in index.engines}
    lines += [f"{label} was not trained." for name, label in ROLES.items() if name not in engines]
    found = {dataset.name for dataset in index.datasets}
    missing = [title for name, title in DATASETS.items() if name not in found]
    other = [dataset.title for dataset in index.datasets if dataset.name not in DATASETS]
    if missing:
        instead = f"; trained instead: {', '.join(other)}" if other else ""
        lines.append(f"Not trained: {', '.join(missing)}{instead}.")
    elif other:
        lines.append(f"Trained beside: {', '.join(other)}.")
    arms = [engine.label for engine in index.engines if engine.arm_of is not None]
    lines += [f"Variants beside the main comparison: {', '.join(arms)}."] if arms else []
    some = [engine.label for engine in index.engines if engine.train_limit is not None]
    told = (
        "Trained on the first examples only, and in claims about times extrapolated to all of them"
    )
    return [*lines, f"{told}: {'; '.join(some)}."] if some else lines


def _parameters(index: Index) -> list[str]:
    return [
        f"`{name}` is {index.parameters[name]}, {wanted} in the thesis."
        for name, wanted in PROTOCOL.items()
        if name in index.parameters and index.parameters[name] != wanted
    ]


def _always(index: Index) -> list[str]:
    rate = index.parameters.get("sampling_rate_hz")
    sampled = f"{rate:g} times a second" if isinstance(rate, int | float) else "at a fixed rate"
    return [
        "Every engine trains the networks the thesis describes; its public Python code trains others: two "
        "hidden layers on MNIST, neither batch norm nor dropout and SGD on CIFAR-10, with shuffling.",
        f"Resources are read from the kernel for the training's own processes {sampled}, each row with its "
        "time; the thesis's sampler gave the mean since boot for the CPU and the whole machine's memory. "
        "Both are recorded.",
        "Runs are ordered in randomised complete blocks, the thesis's order was fixed. Accuracy is measured "
        "on the test examples; the thesis's Elixir code evaluates on its training examples.",
    ]
