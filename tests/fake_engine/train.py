"""An engine that trains nothing: it logs when it ran and writes the events of the protocol.

A file `fake_mode` in the working directory tells it to misbehave.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("dataset", "network", "learning-rate", "threads", "accelerator", "linger-s", "events"):
    parser.add_argument(f"--{name}")
for name in ("epochs", "batch-size", "seed", "train-limit", "test-limit"):
    parser.add_argument(f"--{name}", type=int)
parser.add_argument("--option", action="append", default=[])
args = parser.parse_args()
args.events_written = 0
if args.train_limit == 0:
    raise SystemExit("error: --train-limit must be at least 1")
if args.accelerator not in ("cpu", "cuda"):
    raise SystemExit(
        "error: --accelerator must be cpu or cuda: an engine is told where it computes"
    )
warm_up = args.train_limit is not None
described = json.loads((Path(args.dataset) / "dataset.json").read_text())
examples = min(described["train_examples"], args.train_limit or described["train_examples"])
test_examples = min(described["test_examples"], args.test_limit or described["test_examples"])
steps = examples // args.batch_size
label = f"{described['name']} {' '.join(args.option)} seed={args.seed} epochs={args.epochs}"
modes = Path("fake_mode").read_text().split() if Path("fake_mode").is_file() else []


def log(what: str) -> None:
    with Path("order.log").open("a") as file:
        file.write(f"{time.time_ns()} {'warm-up ' if warm_up else ''}{what} {label}\n")


def now() -> object:
    """The time as this engine understands it."""
    unix_ns = time.time_ns()
    odd = {
        "time-in-ms": unix_ns // 10**6,
        "time-in-us": unix_ns // 1000,
        "time-since-boot": time.monotonic_ns(),
        "time-as-float": float(unix_ns),
        "time-ahead": unix_ns + 3600 * 10**9,
        "time-behind": unix_ns - 3600 * 10**9,
        "time-jumps": unix_ns + (60 * 10**9 if args.events_written > 5 else 0),
        "time-goes-back": unix_ns - (10**9 if args.events_written > 5 else 0),
    }
    return next((odd[mode] for mode in modes if mode in odd), unix_ns)


def emit(event: str, **fields: object) -> None:
    args.events_written += 1
    line = json.dumps({"event": event, "t_unix_ns": now(), **fields}, ensure_ascii=False)
    if "byte-order-mark" in modes and args.events_written == 1:
        line = "\ufeff" + line
    with Path(args.events).open("ab") as file:
        file.write(line.encode() + (b"\r\n" if "windows-lines" in modes else b"\n"))
        file.write(b"\n" if "blank-lines" in modes else b"")


def look_around() -> None:
    """All that a site or a caller could have put around it, and time for the sampler to look, too."""
    maps = {
        line.split(maxsplit=5)[5]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if "/" in line
    }
    mounts = {line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    seen = {
        "variables": dict(os.environ),
        "mapped": sorted(maps),
        "mounts": sorted(mounts),
        "affinity": sorted(os.sched_getaffinity(0)),
        "cwd": str(Path.cwd()),
        "limits": Path("/proc/self/limits").read_text(),
    }
    with Path("looked.jsonl").open("a") as file:
        file.write(json.dumps(seen) + "\n")
    time.sleep(0.6)


log("begin")
if "print-environment" in modes:
    print(*(f"{name}={value}" for name, value in os.environ.items()), sep="\n")
    print(f"cores={len(os.sched_getaffinity(0))}")
if "look-around" in modes and not warm_up:
    look_around()
if "lazy" in modes:
    args.epochs -= 1
if "crash-oddly" in modes:
    os.write(2, b"\x1b[31mthe fake\x07 engine\xff\x1b[0m was\tred\r 1 %\r 2 %\r\n \x00\n")
    sys.exit(3)
if "lose-data" in modes:
    (Path(args.dataset) / "train_images.npy").unlink()
    raise SystemExit("the fake engine cannot read its data")
if "crash" in modes:
    sys.exit("the fake engine was told to crash")
while "hold" in modes and Path("fake_mode").is_file():
    time.sleep(0.05)
if "hang" in modes:
    time.sleep(600)
if "kill" in modes:
    os.kill(os.getpid(), 9)
losses = {
    "loss-huge": 1e300,
    "loss-infinite": 1e999,
    "loss-null": None,
    "loss-negative": -5.0,
    "loss-zero": 0.0,
}
first_loss = next((losses[mode] for mode in modes if mode in losses), 2.3)
version = "1\u2028x\u0085y" if "odd-signs" in modes else "1"
more = {"foo": [1, {"x": None}], "ünï": "<b>|`$"} if "more-fields" in modes else {}
device = "cuda:Fake Card" if args.accelerator == "cuda" and "on-cpu" not in modes else "cpu"
if "no-gpu-memory" in modes:
    sys.exit(
        "2026-01-01 RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4.2GiB.\nlast words"
    )
emit("start", engine="fake", versions={"fake": version}, device=device, options={}, **more)
if "chatty" in modes:
    sys.stderr.write("warning\n" * 100000)
if "progress" in modes:
    for step in range(20000):
        os.write(1, (b"p %d\r" % step) * 200)
if "odd-log" in modes:
    os.write(1, b"\xff\xfe\x00 latin1 \xe9 \x1b[31mred\x1b[0m \x07\n" * 50)
if "broken" in modes:
    with Path(args.events).open("a") as file:
        file.write("{not json\n")
emit("load_start")
emit("load_end", train_examples=examples, test_examples=test_examples)
work = {
    "seed": args.seed,
    "epochs": args.epochs,
    "batch_size": args.batch_size,
    "network": args.network,
}
emit("train_start", **work, parameters=1)
for epoch in range(1, args.epochs + 1):
    emit("epoch_start", epoch=epoch)
    time.sleep(0.02)
    if epoch == 1:
        emit("first_batch_end", epoch=1, loss=first_loss)
    emit("epoch_end", epoch=epoch, loss=2.0 / epoch, accuracy=0.5, examples=steps * args.batch_size)
if "stop" in modes:
    sys.exit(0)
emit("train_end")
emit("evaluate_start")
correct = test_examples // 2
emit("evaluate_end", accuracy=correct / test_examples, correct=correct, examples=test_examples)
emit("linger_end", linger_s=float(args.linger_s))
emit("end")
log("end")
