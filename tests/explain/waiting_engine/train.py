"""An engine that trains nothing: it computes, and sleeps in an epoch, after one, and after the last.

With the option `undumpable` the system lets no other process of its user look at it.
"""

import argparse
import ctypes
import json
import os
import threading  # noqa: F401 - where it is imported, as in every framework, py-spy knows threads by name
import time
from pathlib import Path

PR_SET_DUMPABLE = 4
parser = argparse.ArgumentParser()
for name in ("dataset", "network", "learning-rate", "threads", "accelerator", "linger-s", "events"):
    parser.add_argument(f"--{name}")
for name in ("epochs", "batch-size", "seed", "train-limit", "test-limit"):
    parser.add_argument(f"--{name}", type=int)
parser.add_argument("--option", action="append", default=[])
args = parser.parse_args()
described = json.loads((Path(args.dataset) / "dataset.json").read_text())
examples = described["train_examples"]


def emit(event: str, **fields: object) -> None:
    with Path(args.events).open("a") as file:
        file.write(json.dumps({"event": event, "t_unix_ns": time.time_ns(), **fields}) + "\n")


def compute() -> None:
    end_s = time.monotonic() + 0.6
    while time.monotonic() < end_s:
        pass


def wait_inside() -> None:
    time.sleep(1.0)


def wait_between() -> None:
    time.sleep(1.0)


def wait_after_last() -> None:
    time.sleep(1.0)


def ancestors() -> list[str]:
    """Names of the processes above this one."""
    names, pid = [], os.getpid()
    while pid := int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]):
        names.append(Path(f"/proc/{pid}/comm").read_text().strip())
    return names


if "undumpable=true" in args.option:
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
emit("start", engine="waiting", versions={}, device="cpu", options={})
emit("load_start")
time.sleep(0.5)  # py-spy begins meanwhile
emit("load_end", train_examples=examples, test_examples=described["test_examples"])
work = {
    "seed": args.seed,
    "epochs": args.epochs,
    "batch_size": args.batch_size,
    "network": args.network,
}
emit("train_start", **work, parameters=1)
for epoch in range(1, args.epochs + 1):
    emit("epoch_start", epoch=epoch)
    compute()
    if epoch == 1:
        emit("first_batch_end", epoch=1, loss=2.3)
        wait_inside()
        compute()
    trained = examples - examples % args.batch_size
    emit("epoch_end", epoch=epoch, loss=2.0 / epoch, accuracy=0.5, examples=trained)
    if epoch < args.epochs:
        wait_between()
wait_after_last()
emit("train_end")
emit("evaluate_start")
correct = described["test_examples"] // 2
emit(
    "evaluate_end",
    accuracy=correct / described["test_examples"],
    correct=correct,
    examples=described["test_examples"],
)
emit("linger_end", linger_s=float(args.linger_s))
emit("end")
print("ancestors:", *ancestors())
