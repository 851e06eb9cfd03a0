"""Checks of the engines: the accelerator, numbers, memory, libraries (S1, S2, S9, S11, B1)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from gpu_steps.bench import MIB, ROOT, Bench, Measured, last_line, mib
from gpu_steps.report import Failed, Skip

CASES = ("mlp", "cnn")
LIMIT_S = 100.0
WORK = ["--network", "cnn", "--epochs", "1", "--batch-size", "32", "--seed", "1", "--linger-s", "1"]
WORK += ["--learning-rate", "0.001", "--threads", "4", "--accelerator", "cuda"]
CUDA_LIBRARIES = ("libcudnn.so", "libcublas.so")
# It computes functions that XLA takes from libdevice: exp, pow.
TRY_LIBDEVICE = """
import sys
sys.path.insert(0, sys.argv[1])
import jax, jax.numpy as jnp
assert jax.default_backend() != "cpu", "JAX finds no GPU"
x = jnp.linspace(0.1, 0.9, 1000)
print(float(jax.jit(lambda x: (jnp.exp(x) ** 1.7 + jnp.log(x)).sum())(x)))
"""
SITE = "import {module}, pathlib; print(pathlib.Path({module}.__file__).parents[1])"
LIBDEVICE = "nvvm/libdevice/libdevice.10.bc"
TOOLKITS = ("/usr/local/cuda", "/opt/cuda")


def python_of(bench: Bench, engine: str) -> str:
    """The interpreter of an engine's framework."""
    framework = {"keras": "tensorflow"}.get(engine, engine)
    return bench.pythons[framework]


def script(engine: str, name: str) -> Path:
    """A program of an engine."""
    return ROOT / "scripts" / "engines" / engine / name


def parity_module() -> Any:
    """The core's parity test; raises Skip if numpy is missing."""
    try:
        from evenground.protocol import parity
    except ImportError as error:
        raise Skip(f"for this Python {error.name} is not installed") from None
    return parity


def case_of(name: str) -> Any:
    """A case of the parity test by name."""
    cases = {case.name: case for case in parity_module().CASES}
    return cases[name]


def dataset(bench: Bench, case: str = "cnn") -> Path:
    """The prepared dataset of a case of the parity test; written at the first call."""
    folder = bench.folder / f"data-{case}"
    if not folder.is_dir():
        parity_module().write_dataset(case_of(case), folder)
    return folder


def parity(bench: Bench, engine: str) -> None:
    """Losses and logits on the card and on the processor, with and without TF32 (S11)."""
    for case in CASES:
        bench.report.attempt(f"{case}: parity", _parity_of, bench, engine, case)


def _parity_of(bench: Bench, engine: str, case: str) -> None:
    parity = parity_module()
    weights = str(bench.folder / f"weights-{case}")
    exact = _results(bench, engine, case, "cpu", "--export-weights", weights)
    allowed = parity.TOLERANCES["cuda"][case]
    limits = f"{allowed.loss:.0e}, {allowed.statistics:.0e}, {allowed.logits:.0e}"
    expected = {"false": f"at most {limits}", "true": "loss further apart, if the card has TF32"}
    for tf32 in ("false", "true"):
        options = ["--weights", weights, "--option", f"tf32={tf32}"]
        result = _results(bench, engine, case, "cuda", *options)
        apart = parity.differences(exact, result)
        figure = (
            f"loss {apart.loss:.1e}, statistics {apart.statistics:.1e}, logits {apart.logits:.1e}"
        )
        disagrees = bool(parity.disagreements(apart, allowed))
        # TF32 has ten bits behind the first one: with it the numbers must be further apart.
        good = disagrees == (tf32 == "true")
        asked = f"{case}: card against processor, tf32 {tf32}"
        bench.report.row(asked, figure, expected[tf32], good)


def _results(bench: Bench, engine: str, case: str, accelerator: str, *options: str) -> Any:
    """What an engine's parity command writes."""
    output = bench.folder / f"{case}-{accelerator}.json"
    args: list[str | Path] = [python_of(bench, engine), script(engine, "parity.py")]
    args += ["--dataset", dataset(bench, case), "--output", output, "--threads", "4"]
    args += case_of(case).arguments()
    args += ["--accelerator", accelerator, *options]
    variables = {}
    if accelerator == "cpu":
        variables["CUDA_VISIBLE_DEVICES"] = ""
    bench.run(args, LIMIT_S, **variables)
    return json.loads(output.read_text())


def training(bench: Bench, engine: str, events: Path, *options: str) -> list[str | Path]:
    """The command line of a small training on the card."""
    args: list[str | Path] = [python_of(bench, engine), script(engine, "train.py")]
    args += WORK
    args += ["--dataset", dataset(bench), "--events", events, *options]
    return args


def read_events(file: Path) -> dict[str, dict[str, Any]]:
    """The events of a training by name, the last of each; raises Failed if there are none."""
    lines: list[str] = []
    if file.is_file():
        lines = file.read_text().splitlines()
    if not lines:
        raise Failed("the training wrote no event")
    events = [json.loads(line) for line in lines]
    return {event["event"]: event for event in events}


def obedience(bench: Bench, engine: str) -> None:
    """Whether `cuda` fails without a card; what two trainings of one seed give (S1, S2, S11)."""
    asked = f"{engine}: told cuda, no card visible"
    expected = "one line that says why not"
    args = training(bench, engine, bench.folder / "none.jsonl")
    try:
        bench.run(args, LIMIT_S, CUDA_VISIBLE_DEVICES="")
        bench.report.row(asked, "it trained", expected, good=False)
    except Failed as error:
        bench.report.row(asked, error, expected, "error: " in str(error))
    bench.report.attempt(f"{engine}: same seed twice", _twice, bench, engine)


def _twice(bench: Bench, engine: str) -> None:
    trainings = []
    for number in ("1", "2"):
        events = bench.folder / f"seed-{number}.jsonl"
        bench.run(training(bench, engine, events), LIMIT_S)
        trainings.append(read_events(events))
    device = trainings[0]["start"]["device"]
    name = str(bench.card.get("name", ""))
    asked = f"{engine}: device with the UUID of the card"
    bench.report.row(asked, device, f"cuda:{name}", name in device)
    losses = [repr(events["epoch_end"]["loss"]) for events in trainings]
    bench.report.row(f"{engine}: loss of the epoch, same seed twice", ", ".join(losses))


def memory(bench: Bench, engine: str, option: str) -> None:
    """GPU memory with and without allocating all of it at once, and the libraries mapped (S9)."""
    total = bench.card["memory_total_bytes"]
    for value in ("true", "false"):
        name = f"{option}-{value}"
        measured = trained(bench, engine, name, "--option", f"{option}={value}")
        peak, counted = measured.peak_memory()
        # `memory_growth` means the opposite of `preallocate`.
        if (option == "preallocate") == (value == "true"):
            expected = "most of the card"
            good = peak > 0.5 * total
        else:
            expected = "below 5 GiB"
            good = peak < 5 * 1024 * MIB
        asked = f"{engine}: {option}={value}, GPU memory"
        bench.report.row(asked, f"{mib(peak)} {counted}", expected, good)
    bench.report.row(f"{engine}: libraries", _libraries(measured))


def trained(bench: Bench, engine: str, name: str, *options: str, **variables: str) -> Measured:
    """Measure a small training; raises Failed if it fails."""
    args = training(bench, engine, bench.folder / f"{name}.jsonl", *options)
    measured = bench.beside(args, name, env=bench.env(**variables))
    if measured.status != 0:
        raise Failed(last_line(measured.printed))
    return measured


def _libraries(measured: Measured) -> str:
    paths = [Path(path) for path in measured.mapped(*CUDA_LIBRARIES)]
    return "; ".join("/".join(path.parts[-4:]) for path in paths) or "none seen"


def _site_packages(bench: Bench, framework: str) -> Path:
    """The folder that an interpreter imports a framework from."""
    code = SITE.format(module=framework)
    return Path(last_line(bench.run([bench.pythons[framework], "-c", code])))


def other_libraries(bench: Bench, engine: str) -> None:
    """Which cuDNN is mapped if LD_LIBRARY_PATH names PyTorch's (S9).

    The pipeline does not pass that variable on. Raises Skip if there is no PyTorch with its own
    cuDNN.
    """
    if "torch" not in bench.pythons:
        raise Skip("no other cuDNN: there is no PyTorch")
    site = _site_packages(bench, "torch")
    files = list(site.glob("nvidia/*/lib/lib*cudnn*.so*"))
    files += site.glob("torch/lib/libcudnn.so*")
    if not files:
        raise Skip("PyTorch brought no cuDNN of its own")
    folders = sorted({str(file.parent) for file in files})
    if driver := bench.env().get("LD_LIBRARY_PATH"):
        folders.append(driver)
    plain = trained(bench, engine, "plain")
    turned = trained(bench, engine, "turned", LD_LIBRARY_PATH=":".join(folders))
    bench.report.row(f"{engine}: libraries as the pipeline starts it", _libraries(plain))
    bench.report.row(f"{engine}: with LD_LIBRARY_PATH to PyTorch's", _libraries(turned))


def libdevice(bench: Bench) -> None:
    """XLA without its libdevice and ptxas, and with a folder that has them (B1).

    Raises Skip if JAX's wheels have no libdevice.
    """
    site = _site_packages(bench, "jax")
    roots = [path.parents[2] for path in site.glob(f"nvidia/*/{LIBDEVICE}")]
    names = [str(root.relative_to(site)) for root in roots] or ["none"]
    bench.report.row("libdevice of JAX's wheels", names[0])
    shadow = _without_libdevice(site, bench.folder / "site")
    # -S: else the wheels would be found in site-packages.
    args: list[str | Path] = [bench.pythons["jax"], "-I", "-S", "-c", TRY_LIBDEVICE, shadow]
    asked = "XLA where no candidate folder has libdevice"
    toolkits = [folder for folder in TOOLKITS if Path(folder, LIBDEVICE).is_file()]
    if toolkits:
        bench.report.skip(asked, f"this machine has one in {toolkits[0]}, where XLA looks, too")
    else:
        _expect_failure(bench, asked, args)
    if not roots:
        raise Skip("there is no libdevice to show it with")
    variables = {
        "XLA_FLAGS": f"--xla_gpu_cuda_data_dir={roots[0]}",
        "PATH": f"{roots[0] / 'bin'}:/usr/bin:/bin",
    }
    result = last_line(bench.run(args, LIMIT_S, **variables))
    bench.report.row("with XLA_FLAGS=--xla_gpu_cuda_data_dir and PATH to it", result, "a number")


def _expect_failure(bench: Bench, asked: str, args: list[str | Path]) -> None:
    expected = "libdevice is not found"
    try:
        result = last_line(bench.run(args, LIMIT_S, PATH="/usr/bin:/bin"))
        bench.report.row(asked, f"it computes all the same: {result}", expected, good=False)
    except Failed as error:
        bench.report.row(asked, error, expected, "libdevice" in str(error))


def _without_libdevice(site: Path, shadow: Path) -> Path:
    """Make a folder like JAX's site-packages, of links, without NVIDIA's compiler."""
    shadow.mkdir()
    for path in site.iterdir():
        if path.name == "jax_plugins":
            # A copy: a link would lead XLA back to the folders beside the plugin.
            shutil.copytree(path, shadow / path.name)
        elif path.name == "nvidia":
            _link_packages(path, shadow / path.name)
        else:
            (shadow / path.name).symlink_to(path)
    return shadow


def _link_packages(nvidia: Path, shadow: Path) -> None:
    shadow.mkdir()
    for package in nvidia.iterdir():
        target = shadow / package.name
        if not package.is_dir():
            target.symlink_to(package)
            continue
        target.mkdir()
        for path in package.iterdir():
            if path.name not in ("nvvm", "bin"):
                (target / path.name).symlink_to(path)
