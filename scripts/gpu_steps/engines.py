"""The engines themselves on the card: obedience, numbers, memory, libraries (S1, S2, S9, S11, B1)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpu_steps.bench import MIB, ROOT, Bench, Measured, last_line, mib
from gpu_steps.report import Failed, Skip

CASES = ("mlp", "cnn")
LIMIT_S = 100.0
THREADS = "4"
WORK = ["--network", "cnn", "--epochs", "1", "--batch-size", "32", "--seed", "1", "--linger-s", "1"]
CUDA_LIBRARIES = ("libcudnn.so", "libcublas.so")
# Needs the functions of libdevice: exp, pow.
TRY_LIBDEVICE = """
import sys
sys.path.insert(0, sys.argv[1])
import jax, jax.numpy as jnp
assert jax.default_backend() != "cpu", "JAX finds no GPU"
x = jnp.linspace(0.1, 0.9, 1000)
print(float(jax.jit(lambda x: (jnp.exp(x) ** 1.7 + jnp.log(x)).sum())(x)))
"""
WHERE = "import jax, pathlib; print(pathlib.Path(jax.__file__).parents[1])"
WHERE_TORCH = "import torch, pathlib; print(pathlib.Path(torch.__file__).parents[1])"
LIBDEVICE = "nvvm/libdevice/libdevice.10.bc"
TOOLKITS = ("/usr/local/cuda", "/opt/cuda")


def python_of(bench: Bench, engine: str) -> str:
    """The interpreter of an engine's framework."""
    return bench.pythons["tensorflow" if engine == "keras" else engine]


def script(engine: str, name: str) -> Path:
    """A program of an engine."""
    return ROOT / "scripts" / "engines" / engine / name


def dataset(bench: Bench, case: str = "cnn") -> Path:
    """The data of a case of the parity test."""
    parity = parity_module()
    folder = bench.folder / f"data-{case}"
    if not folder.is_dir():
        parity.write_dataset(next(one for one in parity.CASES if one.name == case), folder)
    return folder


def parity_module() -> Any:
    """The core's parity test; Skip where numpy is missing."""
    try:
        from evenground.protocol import parity
    except ImportError as error:
        raise Skip(f"for this Python {error.name} is not installed") from None
    return parity


def parity(bench: Bench, engine: str) -> None:
    """Losses and logits on the card and on the processor, with and without TF32 (S11)."""
    for case in CASES:
        bench.report.attempt(f"{case}: parity", _parity_of, bench, engine, case)


def _parity_of(bench: Bench, engine: str, case: str) -> None:
    module = parity_module()
    weights = bench.folder / f"weights-{case}"
    exact = _results(bench, engine, case, "cpu", "--export-weights", str(weights))
    for tf32 in ("false", "true"):
        asked = f"{case}: card against processor, tf32 {tf32}"
        words = ["--weights", str(weights), "--option", f"tf32={tf32}"]
        differing = module.differences(exact, _results(bench, engine, case, "cuda", *words))
        allowed = module.TOLERANCES["cuda"][case]
        beyond = module.disagreements(differing, allowed)
        figure = f"loss {differing.loss:.1e}, statistics {differing.statistics:.1e}, logits {differing.logits:.1e}"
        limits = f"{allowed.loss:.0e}, {allowed.statistics:.0e}, {allowed.logits:.0e}"
        wanted = (
            f"at most {limits}" if tf32 == "false" else "loss further apart, if the card has TF32"
        )
        bench.report.row(
            asked,
            figure,
            wanted,
            (tf32 == "true") == (differing.loss > allowed.loss or bool(beyond)),
        )


def _results(bench: Bench, engine: str, case: str, accelerator: str, *more: str) -> Any:
    module = parity_module()
    output = bench.folder / f"{case}-{accelerator}-{'-'.join(more[-1:])}.json".replace("/", "")
    arguments = next(one for one in module.CASES if one.name == case).arguments()
    words: list[str | Path] = [python_of(bench, engine), script(engine, "parity.py")]
    words += [
        "--dataset",
        dataset(bench, case),
        *arguments,
        "--threads",
        THREADS,
        "--accelerator",
        accelerator,
        "--output",
        output,
        *more,
    ]
    visible = {} if accelerator == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}
    bench.run(words, LIMIT_S, **visible)
    return json.loads(output.read_text())


def training(
    bench: Bench, engine: str, events: Path, *more: str, accelerator: str = "cuda"
) -> list[str | Path]:
    """The command line of a small training."""
    words: list[str | Path] = [python_of(bench, engine), script(engine, "train.py"), *WORK]
    words += [
        "--dataset",
        dataset(bench),
        "--learning-rate",
        "0.001",
        "--threads",
        THREADS,
        "--accelerator",
        accelerator,
    ]
    return [*words, "--events", events, *more]


def read_events(file: Path) -> dict[str, dict[str, Any]]:
    """The events of a training by their names, the last of each; Failed where there are none."""
    lines = file.read_text().splitlines() if file.is_file() else []
    found = {content["event"]: content for content in map(json.loads, lines)}
    if not found:
        raise Failed("the training wrote no event")
    return found


def obedience(bench: Bench, engine: str) -> None:
    """Told `cuda` without a card it fails, on the card it says so, twice the same seed (S1, S2, S11)."""
    asked = f"{engine}: told cuda, no card visible"
    try:
        bench.run(
            training(bench, engine, bench.folder / "none.jsonl"), LIMIT_S, CUDA_VISIBLE_DEVICES=""
        )
        bench.report.row(asked, "it trained", "one line that says why not", good=False)
    except Failed as error:
        bench.report.row(asked, error, "one line that says why not", "error: " in str(error))
    bench.report.attempt(f"{engine}: same seed twice", _twice, bench, engine)


def _twice(bench: Bench, engine: str) -> None:
    seen = []
    for number in ("1", "2"):
        events = bench.folder / f"seed-{number}.jsonl"
        bench.run(training(bench, engine, events), LIMIT_S)
        seen.append(read_events(events))
    device = seen[0]["start"]["device"]
    name = str(bench.card.get("name", ""))
    bench.report.row(
        f"{engine}: device with the UUID of the card", device, f"cuda:{name}", name in device
    )
    losses = [events["epoch_end"]["loss"] for events in seen]
    bench.report.row(
        f"{engine}: loss of the epoch, same seed twice", f"{losses[0]!r}, {losses[1]!r}"
    )


def memory(bench: Bench, engine: str, option: str) -> None:
    """GPU memory with and without taking all at once, and which libraries were mapped (S9)."""
    total = float(bench.card.get("total_bytes", 0))
    for value in ("true", "false"):
        asked = f"{engine}: {option}={value}, GPU memory"
        measured = _trained(bench, engine, f"{option}-{value}", "--option", f"{option}={value}")
        peak, whose = measured.peak_memory()
        at_once = (option == "preallocate") == (value == "true")
        wanted = "most of the card" if at_once else "below 5 GiB"
        good = peak > 0.5 * total if at_once else peak < 5 * 1024 * MIB
        bench.report.row(asked, f"{mib(peak)} {whose}", wanted, good)
    bench.report.row(f"{engine}: libraries", _libraries(measured) or "none seen")


def _trained(
    bench: Bench, engine: str, name: str, *more: str, variables: Mapping[str, str] | None = None
) -> Measured:
    words = training(bench, engine, bench.folder / f"{name}.jsonl", *more)
    measured = bench.beside(words, name, variables=variables)
    if measured.status != 0:
        raise Failed(last_line(measured.printed))
    return measured


def _libraries(measured: Measured) -> str:
    return "; ".join("/".join(Path(path).parts[-4:]) for path in measured.mapped(*CUDA_LIBRARIES))


def other_libraries(bench: Bench, engine: str) -> None:
    """Which cuDNN is mapped where LD_LIBRARY_PATH names PyTorch's (S9): the pipeline drops that variable."""
    if "torch" not in bench.pythons:
        raise Skip("no other cuDNN: there is no PyTorch")
    site = Path(last_line(bench.run([bench.pythons["torch"], "-c", WHERE_TORCH])))
    folders = sorted(
        str(path.parent) for path in site.glob("nvidia/*/lib/lib*.so*") if "cudnn" in path.name
    )
    folders += [str(path.parent) for path in site.glob("torch/lib/libcudnn.so*")]
    if not folders:
        raise Skip("PyTorch brought no cuDNN of its own")
    plain = _trained(bench, engine, "plain")
    variable = ":".join(
        filter(None, [*dict.fromkeys(folders), bench.env().get("LD_LIBRARY_PATH", "")])
    )
    turned = _trained(bench, engine, "turned", variables={"LD_LIBRARY_PATH": variable})
    bench.report.row(
        f"{engine}: libraries as the pipeline starts it", _libraries(plain) or "none seen"
    )
    bench.report.row(
        f"{engine}: with LD_LIBRARY_PATH to PyTorch's", _libraries(turned) or "none seen"
    )


def libdevice(bench: Bench) -> None:
    """XLA without its libdevice and ptxas, and with a folder that has them (B1)."""
    python = bench.pythons["jax"]
    site = Path(last_line(bench.run([python, "-c", WHERE])))
    roots = [path.parents[2] for path in site.glob(f"nvidia/*/{LIBDEVICE}")]
    bench.report.row("libdevice of JAX's wheels", roots[0].relative_to(site) if roots else "none")
    shadow = _without_libdevice(site, bench.folder / "site")
    words: list[str | Path] = [python, "-I", "-S", "-c", TRY_LIBDEVICE, shadow]
    asked = "XLA where no candidate folder has libdevice"
    elsewhere = [place for place in TOOLKITS if Path(place, LIBDEVICE).is_file()]
    if elsewhere:
        bench.report.skip(asked, f"this machine has one in {elsewhere[0]}, where XLA looks, too")
    else:
        _expect_failure(bench, asked, words)
    if not roots:
        raise Skip("there is no libdevice to show it with")
    flags = f"--xla_gpu_cuda_data_dir={roots[0]}"
    result = bench.run(words, LIMIT_S, XLA_FLAGS=flags, PATH=f"{roots[0] / 'bin'}:/usr/bin:/bin")
    bench.report.row(
        "with XLA_FLAGS=--xla_gpu_cuda_data_dir and PATH to it", last_line(result), "a number"
    )


def _expect_failure(bench: Bench, asked: str, words: Sequence[str | Path]) -> None:
    try:
        result = last_line(bench.run(words, LIMIT_S, PATH="/usr/bin:/bin"))
        bench.report.row(
            asked, f"it computes all the same: {result}", "libdevice is not found", good=False
        )
    except Failed as error:
        bench.report.row(asked, error, "libdevice is not found", "libdevice" in str(error))


def _without_libdevice(site: Path, shadow: Path) -> Path:
    """A folder like JAX's site-packages, with a copy of the plugin and without NVIDIA's compiler."""
    shadow.mkdir()
    for path in site.iterdir():
        if path.name == "jax_plugins":
            shutil.copytree(path, shadow / path.name)
        elif path.name == "nvidia":
            _thinned(path, shadow / path.name)
        else:
            (shadow / path.name).symlink_to(path)
    return shadow


def _thinned(nvidia: Path, shadow: Path) -> None:
    shadow.mkdir()
    for package in nvidia.iterdir():
        if not package.is_dir():
            (shadow / package.name).symlink_to(package)
            continue
        (shadow / package.name).mkdir()
        for path in package.iterdir():
            if path.name not in ("nvvm", "bin"):
                (shadow / package.name / path.name).symlink_to(path)
