"""A made results folder whose right numbers are known: two datasets, two engines, three repetitions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from evenground.records.contact_sheet import ContactSheet, Example
from evenground.sidecar.columns import COLUMNS

MACHINE = "made-cpu-2c-8g-nogpu-abc123"
GPU_MACHINE = "made-cpu-2c-8g-made-card-abc123"
T0_NS = 1_700_000_000_000_000_000
# The machine was started hours before: zero of the monotonic clock.
BOOT_NS = T0_NS - 10**13
# As in the thesis: the one engine's GPU falls idle once in the short training and twice in the long one.
IDLE = (((1.0, 1.9),), ((1.0, 3.4), (4.5, 5.1)))
WINDOW_S = 1 / 6
STARTED = {"engine": "made", "versions": {}, "options": {}}
CARD = "Made Card"
# Ten rows a second, and what the sampler reads once a second.
SLOW_ROWS = 10
# The card is read so long before each row.
LEAD_S = 0.02
# What the card draws.
IDLE_W, BUSY_W = 30.0, 120.5
TRAINED = {"seed": 1, "batch_size": 32, "network": "mlp", "parameters": 101770}
# So many that any accuracy is a number of correct answers.
TEST_EXAMPLES = 10**7
NO_GPU = "no NVIDIA driver library on this machine (libnvidia-ml.so.1)"
HEADER = (
    "t_unix_ns,t_mono_ns,interval_ns,read_ns,missed_slots,cpu_s,rss_bytes,processes,cpu_since_boot_pct,"
    "machine_used_bytes,free_used_bytes,gpu_util_pct,vram_used_bytes,gpu_power_w,gpu_throttle_reasons,"
    "gpu_foreign_processes,vram_tree_bytes,"
    "gpu_desktop_processes,gpu_desktop_bytes,gpu_age_s,gpu_energy_j"
)
ENGINES = [
    {"name": "keras", "label": "Keras", "colour": "#E69F00"},
    {"name": "jax", "label": "JAX", "colour": "#0072B2"},
]

GPU_RECORD: dict[str, Any] = {
    "accelerator": "cuda",
    "name": CARD,
    "uuid": "GPU-11111111-2222-3333-4444-555555555555",
    "mig": None,
    "pci": "00000000:65:00.0",
    "memory_bytes": 8 * 2**30,
    "capability": "8.6",
    "ecc": False,
    "power_limit_w": 200.0,
    "power_default_w": 200.0,
    "clocks": {"application SM (MHz)": "1800", "usual application SM (MHz)": "1800"},
    "persistence": True,
    "compute_mode": "default",
    "display": False,
    "cards": 1,
    "near_cpus": "0-1",
    "libraries": {"libcudnn.so.9": "environment"},
    "missing": {},
}
"""A card that nothing speaks against, as `environment.json` has it."""

NAMED = {engine["name"]: engine for engine in ENGINES}


@dataclass(frozen=True)
class Made:
    """What one made run does; seconds. Epochs share the time after the first batch equally."""

    load_s: float = 2.0
    first_batch_s: float = 0.5
    steady_s: float = 2.5
    evaluate_s: float = 0.3
    linger_s: float = 1.0
    epochs: int = 3
    cpu_pct: float = 150.0
    """CPU use while it trains, in percent of one core."""
    cores: int | None = 2
    """Of the machine, as the sampler says; None where it does not."""
    rss_bytes: int = 400 * 2**20
    accuracy: float = 0.96
    gpu: bool = False
    device: str | None = None
    """What its engine says it computed on; None for the card where there is one."""
    spacing_s: float = 0.1
    """Time between two samples, whatever rate was asked for."""
    reading_s: float | None = None
    """Time between two readings of the card, which the rows between repeat; None for one before each row."""
    power_mean_s: float = 0.0
    """What the driver's power is a mean over, until the reading; 0 for the power of that moment."""
    since_boot_rise_pct: float = 0.0
    """How much the mean since boot rises from the launch to the exit."""
    used_bytes: int | None = None
    """How much the machine's memory rises; None for as much as that of the process."""
    up_s: float | None = None
    """How long the machine had been up at the launch; None: for all runs since one moment."""
    kept: float = 1.0
    """Share of its memory that the process holds after its training."""
    gpu_pct: int = 60
    gpu_first_pct: int | None = None
    """GPU use during the first batch; None for that of the rest."""
    gpu_zero_s: float = 0.0
    """Time without GPU use before the end of training."""
    vram_bytes: int = 2**31
    vram_before_bytes: int = 200 * 2**20
    """What others hold of the card's memory before the launch, during the run and after it."""
    desktop: int = 0
    """How many processes of others draw on the card."""
    baseline: bool = True
    """Whether the card was looked at before the launch."""
    vram_end: float = 1.0
    """Share of its GPU memory that the process holds from the middle of its training on."""
    columns: bool = True
    """Whether any column was measured."""
    idle: tuple[tuple[float, float], ...] = ()
    """When the GPU does nothing, in seconds after the start of training."""
    cpu_idle: tuple[tuple[float, float], ...] = ()
    """When the process uses no CPU, in seconds after the start of training."""

    @property
    def training_s(self) -> float:
        return self.first_batch_s + self.steady_s


@dataclass(frozen=True)
class MadeResults:
    """Which runs to make; `lost` maps (dataset, engine, repetition) to (status, reason)."""

    datasets: tuple[tuple[str, str, str], ...] = (
        ("digits", "Digits", "mlp"),
        ("shapes", "Shapes", "cnn"),
    )
    repetitions: int = 3
    gpu: bool = False
    engines: tuple[str, ...] = ("keras", "jax")
    make: Callable[[str, str, int, bool], Made] | None = None
    """Dataset, engine, repetition and whether there is a GPU -> the run; None for `made_run`."""
    environment: dict[str, Any] | None = None
    """What environment.json says, beside the card of a machine with one; None for nothing more.

    Where it says how many cores there are, the sampler says the same.
    """
    stand_ins: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    """Values of swept parameters: of one condition of several."""
    machine: str | None = None
    thesis_lines: dict[str, int] | None = None
    """Lines of the thesis's trainers; None where its author's files are not at hand."""
    lost: dict[tuple[str, str, int], tuple[str, str | None]] = field(default_factory=dict)
    grid_s: float = 0.1
    sheet: ContactSheet | None = None
    """Of every dataset."""
    folder: str = "results"
    """Where the index lies; its name decides the keys of runs, as parameters do."""


def made_run(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
    """The run of these names: the CNN takes twice as long, JAX two thirds, each repetition 2 % more."""
    factor = (2.0 if dataset == "shapes" else 1.0) * (2 / 3 if engine == "jax" else 1.0)
    factor *= 1 + 0.02 * (repetition - 1)
    jax = engine == "jax"
    return Made(
        load_s=1.0 if jax else 2.0,
        first_batch_s=0.75 * factor,
        steady_s=2.25 * factor,
        cpu_pct=180.0 if jax else 150.0,
        rss_bytes=(300 if jax else 450) * 2**20,
        accuracy=0.96 + 0.002 * repetition,
        gpu=gpu,
        idle=() if jax else IDLE[dataset == "shapes"],
    )


def write_results(root: Path, *conditions: MadeResults) -> Path:
    """Write `results/` with an index of these conditions below `root`; the path of the index.

    The swept parameters are those that the first condition has `values` of.
    """
    first = conditions[0]
    index = {
        "schema": 4,
        "swept": list(first.values),
        "conditions": [_condition(root, made) for made in conditions],
        "lines": made_lines(first.engines, first.thesis_lines),
    }
    path = root / first.folder / "index.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(index, indent=1), encoding="utf-8")
    return path


def _condition(root: Path, made: MadeResults) -> dict[str, Any]:
    """A condition, whose runs are written below `root`."""
    machine = made.machine or (GPU_MACHINE if made.gpu else MACHINE)
    runs = []
    for repetition in range(1, made.repetitions + 1):
        for dataset, _title, _network in made.datasets:
            for engine in made.engines:
                name = (dataset, engine, repetition)
                runs.append(_indexed(root, machine, made, name, len(runs) + 1))
    condition = {
        "machine": {
            "class": machine,
            "description": "Made CPU, 2 cores, 8 GiB, " + (CARD if made.gpu else "no GPU"),
        },
        "deployment": "native",
        "values": made.values,
        "report": {"grid_s": made.grid_s, "stand_ins": made.stand_ins},
        "parameters": {
            "epochs": 3,
            "batch_size": 32,
            "learning_rate": 0.001,
            "repetitions": made.repetitions,
            "seed": 2022,
            "threads": 2,
            "accelerator": "auto",
            "sampling_rate_hz": 10.0,
            "linger_s": 1.0,
            **made.parameters,
            **made.values,
        },
        "engines": [
            NAMED.get(name, {"name": name, "label": name, "colour": "#009E73"})
            for name in made.engines
        ],
        "datasets": [
            {
                "name": n,
                "title": t,
                "train_examples": 60_000,
                "network": w,
                "prepared": f"data/prepared/{n}/abc",
                "contact_sheet": made.sheet
                and write_sheet(root, f"results/contact_sheets/{n}-abc.json", made.sheet),
            }
            for n, t, w in made.datasets
        ],
        "runs": runs,
    }
    if not made.gpu:
        condition["calibration"] = write_calibration(root, machine)
    return condition


def made_sheet(classes: Sequence[str], each: int = 2, channels: int = 1) -> ContactSheet:
    """A contact sheet with `each` examples of every class, as they are if classes take turns."""
    examples = []
    for label in range(len(classes)):
        for number in range(label, each * len(classes), len(classes)):
            pixels = np.random.default_rng(number).bytes(16 * channels).hex()
            examples.append(Example(number=number, label=label, pixels=pixels))
    return ContactSheet(
        train_examples=1000,
        height=28,
        width=28,
        classes=tuple(classes),
        shape=(4, 4, channels),
        examples=tuple(examples),
    )


def write_sheet(root: Path, path: str, sheet: ContactSheet) -> dict[str, str]:
    """Write a contact sheet below `root`; how an index names it."""
    sheet.write(root / path)
    return {"path": path, "sha256": hashlib.sha256((root / path).read_bytes()).hexdigest()}


def made_lines(engines: Sequence[str], thesis: Mapping[str, int] | None) -> dict[str, Any]:
    """Lines of made engines, and of the thesis's trainers where their numbers are given."""
    absent = {"absent": "the author's file is not at hand: data/thesis-code/lib/made.ex"}
    counted = {"files": 1, "comment_lines": 0, "sha256": {"lib/made.ex": "0" * 64}}
    codes = [
        (instrument, code)
        for instrument in ("corrected", "as-published")
        for code in ("axon", "plain-nx")
    ]
    return {
        "counter": "made",
        "engines": [
            {
                "engine": name,
                "language": "Python",
                "files": 3,
                "lines": 200,
                "code_lines": 150,
                "comment_lines": 9,
            }
            for name in engines
        ],
        "thesis": [
            {"instrument": instrument, "code": code}
            | (
                absent
                if thesis is None
                else {**counted, "lines": thesis[code], "code_lines": thesis[code] // 2}
            )
            for instrument, code in codes
        ],
    }


def write_calibration(root: Path, machine: str) -> dict[str, str]:
    """A calibration with a goal met, one missed, one without an answer and a value without a goal."""
    figures = {
        "one": _figure("CPU total", "%", 0.2, 0.03, True),
        "two": _figure("rows per deadline", "%", 99.0, 96.5, False) | {"at_least": True},
        "three": _figure("GPU memory", "%", 2.0, None, None) | {"reason": "no libcuda.so.1 | here"},
        "four": _figure("an empty loop", "ms", None, 1 / 3, None) | {"reason": "for comparison"},
    }
    path = root / "results" / "calibration" / machine / "abc.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(
        {"schema": 1, "quick": False, "passed": False, "figures": figures}
    ).encode()
    path.write_bytes(content)
    return {
        "path": path.relative_to(root).as_posix(),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _figure(
    what: str, unit: str, goal: float | None, measured: float | None, passed: bool | None
) -> dict[str, Any]:
    judged = {"measured": measured, "passed": passed, "reason": None}
    return {"what": what, "unit": unit, "goal": goal, "at_least": False, **judged}


def _indexed(
    root: Path, machine: str, made: MadeResults, name: tuple[str, str, int], order: int
) -> dict[str, Any]:
    dataset, engine, repetition = name
    told = f"{dataset} {engine}{made.folder.removeprefix('results')}"
    if made.values:
        told += str(made.values)
    key = hashlib.sha256(told.encode()).hexdigest()[:16]
    entry: dict[str, Any] = {"dataset": dataset, "engine": engine, "repetition": repetition}
    entry |= {"key": key, "order": order}
    if name in made.lost:
        status, reason = made.lost[name]
        attempts = 0 if status == "missing" else 2
        return {
            **entry,
            "status": status,
            "reason": reason,
            "attempts": attempts,
            "path": None,
            "manifest_sha256": None,
        }
    path = f"results/runs/{machine}/{dataset}/{engine}/{key}/r{repetition}"
    start_ns = T0_NS + order * 60 * 10**9 + 34_567_891
    environment: dict[str, Any] | None = None
    if made.gpu:
        environment = {"schema": 2, "gpu": GPU_RECORD}
    if made.environment is not None:
        environment = {"schema": 2, **(environment or {}), **made.environment}
    if environment is not None:
        (root / path).mkdir(parents=True)
        (root / path / "environment.json").write_text(json.dumps(environment))
    run = (made.make or made_run)(dataset, engine, repetition, made.gpu)
    if made.environment is not None and "cores" in made.environment:
        run = replace(run, cores=made.environment["cores"])
    sha256 = write_run(
        root / path,
        run,
        start_ns,
        {
            "machine": machine,
            "dataset": dataset,
            "engine": engine,
            "key": key,
            "repetition": repetition,
            "deployment": "native",
        },
    )
    done = {"status": "finished", "reason": None, "attempts": 1}
    return {**entry, **done, "path": path, "manifest_sha256": sha256}


def write_run(folder: Path, made: Made, start_ns: int, run: dict[str, Any]) -> str:
    """Write one run folder; the sha256 of its manifest. Training starts at `start_ns`."""
    folder.mkdir(parents=True, exist_ok=True)
    events, exited_ns = _events(made, start_ns)
    launched_ns = start_ns - _ns(made.load_s)
    (folder / "events.jsonl").write_text(
        "".join(json.dumps(e) + "\n" for e in events), encoding="utf-8"
    )
    (folder / "samples.csv").write_text(
        _samples(made, start_ns, launched_ns, exited_ns), encoding="utf-8"
    )
    gpu = ("gpu_util_pct", "vram_used_bytes", "gpu_power_w")
    missing = {} if made.gpu else dict.fromkeys(gpu, NO_GPU)
    summary = {
        "launched_unix_ns": launched_ns,
        "launched_mono_ns": launched_ns - boot_ns(made, launched_ns),
        "exited_unix_ns": exited_ns,
        "exited_mono_ns": exited_ns - boot_ns(made, launched_ns),
        "exit_code": 0,
        "not_seen": [],
        "peak_process_rss_bytes": made.rss_bytes,
        "sidecar_cpu_s": 0.0,
        "sidecar_sampling_cpu_s": 0.0,
    }
    info = {
        "schema": 2,
        "columns": {name: COLUMNS[name]._asdict() for name in HEADER.split(",")},
        "missing": missing,
        "rate_hz": 10.0,
        "machine": {"cores": made.cores},
        "summary": summary,
        "gpu_baseline": _baseline(made) if made.gpu and made.baseline else None,
        "gpus": [{"name": CARD, "util_window_s": WINDOW_S}] if made.gpu else [],
    }
    (folder / "samples.json").write_text(json.dumps(info), encoding="utf-8")
    return write_manifest(folder, run)


def write_manifest(folder: Path, run: dict[str, Any]) -> str:
    """Write the manifest over the files of a run folder; its sha256."""
    files = {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.iterdir())
        if p.name != "manifest.json"
    }
    manifest = json.dumps({"schema": 1, "run": run, "files": files}).encode()
    (folder / "manifest.json").write_bytes(manifest)
    return hashlib.sha256(manifest).hexdigest()


def boot_ns(made: Made, launched_ns: int) -> int:
    """When the machine was started."""
    return BOOT_NS if made.up_s is None else launched_ns - _ns(made.up_s)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _events(made: Made, start_ns: int) -> tuple[list[dict[str, Any]], int]:
    """The events of a run and the moment its process exits."""
    first_ns = start_ns + _ns(made.first_batch_s)
    end_ns = start_ns + _ns(made.training_s)
    evaluated_ns = end_ns + _ns(made.evaluate_s)
    lingered_ns = evaluated_ns + _ns(made.linger_s)
    between = [first_ns + _ns(made.steady_s * k / made.epochs) for k in range(1, made.epochs)]
    bounds = [start_ns, *between, end_ns]
    events: list[tuple[int, str, dict[str, Any]]] = [
        (start_ns - _ns(made.load_s / 2), "start", {**STARTED, "device": _device(made)}),
        (start_ns - _ns(made.load_s / 2), "load_start", {}),
        (
            start_ns - _ns(made.load_s / 4),
            "load_end",
            {"train_examples": 60000, "test_examples": TEST_EXAMPLES},
        ),
        (start_ns, "train_start", {**TRAINED, "epochs": made.epochs}),
        (start_ns, "epoch_start", {"epoch": 1}),
        (first_ns, "first_batch_end", {"epoch": 1, "loss": 2.3}),
    ]
    for k in range(1, made.epochs + 1):
        if k > 1:
            events.append((bounds[k - 1], "epoch_start", {"epoch": k}))
        ended = {"epoch": k, "loss": 0.6 / k, "accuracy": 0.8 + 0.05 * k, "examples": 60000}
        events.append((bounds[k], "epoch_end", ended))
    correct = round(made.accuracy * TEST_EXAMPLES)
    evaluated = {"accuracy": made.accuracy, "correct": correct, "examples": TEST_EXAMPLES}
    events += [
        (end_ns, "train_end", {}),
        (end_ns, "evaluate_start", {}),
        (evaluated_ns, "evaluate_end", evaluated),
        (lingered_ns, "linger_end", {"linger_s": made.linger_s}),
        (lingered_ns, "end", {}),
    ]
    return [{"event": name, "t_unix_ns": t, **more} for t, name, more in events], lingered_ns + _ns(
        0.2
    )


def _device(made: Made) -> str:
    return made.device or (f"cuda:{CARD}" if made.gpu else "cpu")


def _samples(made: Made, start_ns: int, launched_ns: int, exited_ns: int) -> str:
    """Ten rows a second: CPU idle at half speed before training, memory rising until training starts.

    One more row after the end, when all memory but the machine's own is free again.
    """
    t = np.append(
        np.arange(launched_ns + 10_000_000, exited_ns, _ns(made.spacing_s)), exited_ns + 2_000_000
    )
    since = (t - start_ns) / 1e9
    busy = np.where(since < 0, since * 0.5, np.minimum(since, made.training_s)) + made.load_s / 2
    busy -= sum(np.clip(since, first, last) - first for first, last in made.cpu_idle)
    cpu_s = busy * made.cpu_pct / 100
    share = np.clip((since + made.load_s) / made.load_s, 0.1, 1.0)
    rows = [HEADER]
    for i, t_ns in enumerate(t.tolist()):
        gone = t_ns > exited_ns
        left = 0.0 if gone else made.kept if since[i] > made.training_s else 1.0
        rss = int(made.rss_bytes * share[i] * left)
        used = rss if made.used_bytes is None else int(made.used_bytes * share[i] * left)
        cells = [
            t_ns,
            t_ns - boot_ns(made, launched_ns),
            10_000_000 if i == 0 else 100_000_000,
            200_000,
            0,
            float(cpu_s[i]),
            rss,
            0 if gone else 2,
            12.5 + made.since_boot_rise_pct * i / (t.size - 1),
            2**31 + rss,
            2**30 + used,
        ]
        held = made.vram_end if since[i] > made.training_s / 2 else 1.0
        own = (
            0
            if gone or _device(made) == "cpu"
            else int(made.vram_bytes * float(share[i]) * left * held)
        )
        vram = made.vram_before_bytes + own
        age_s = _age_s(made, float(since[i]))
        read_s = float(since[i]) - age_s
        card = [_gpu_pct(made, read_s), vram, _power_w(made, read_s), 4]
        counter = [repr(age_s), repr(_energy_j(made, read_s))]
        others = [0, own, made.desktop, made.desktop * made.vram_before_bytes]
        slow = [repr(one) if i % SLOW_ROWS == 0 or gone else "" for one in others]
        gpu = [*(repr(cell) for cell in card), *slow, *counter] if made.gpu else [""] * 10
        row = [*(repr(cell) for cell in cells), *gpu]
        rows.append(",".join(row if made.columns else [*row[:5], *[""] * (len(row) - 5)]))
    return "\n".join(rows) + "\n"


def _baseline(made: Made) -> dict[str, Any]:
    """What the sampler says of the card before the launch."""
    known = {"vram_used_bytes": made.vram_before_bytes, "power_w": IDLE_W, "power_from": "counter"}
    return {"read_mono_ns": 1, "seconds": 1.0, **known, "missing": {}}


def _energy_j(made: Made, since_s: float) -> float:
    """The card's counter: it draws IDLE_W, and BUSY_W while the training runs."""
    busy_s = min(max(since_s, 0.0), made.training_s)
    return IDLE_W * (since_s + made.load_s) + (BUSY_W - IDLE_W) * busy_s


def _power_w(made: Made, since_s: float) -> float:
    """Power as the driver tells it at a moment after the start of training."""
    if not made.power_mean_s:
        return BUSY_W if 0 <= since_s <= made.training_s else IDLE_W
    before_j = _energy_j(made, since_s - made.power_mean_s)
    return (_energy_j(made, since_s) - before_j) / made.power_mean_s


def _age_s(made: Made, since_s: float) -> float:
    """How long before a row its card was read."""
    return LEAD_S if made.reading_s is None else (since_s + made.load_s) % made.reading_s


def _gpu_pct(made: Made, since_s: float) -> int:
    """GPU use at a moment after the start of training: 0 where the driver's whole window was idle."""
    idle = any(first <= since_s - WINDOW_S and since_s <= last for first, last in made.idle)
    ended = made.gpu_zero_s > 0 and since_s > made.training_s - made.gpu_zero_s
    if idle or ended or not 0 <= since_s <= made.training_s + WINDOW_S:
        return 0
    first = since_s <= made.first_batch_s and made.gpu_first_pct is not None
    return int(made.gpu_first_pct or 0) if first else made.gpu_pct
