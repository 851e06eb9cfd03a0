"""What the sidecar sees if NVIDIA's MPS is between processes and card (B6)."""

from __future__ import annotations

import subprocess
import sys
import time

from gpu_steps.bench import LOADS, Bench, Measured, mib
from gpu_steps.report import Failed, Skip

CONTROL = "nvidia-cuda-mps-control"


def columns(bench: Bench) -> None:
    """Processes and memory of a load under an MPS server that this step starts and ends.

    Raises Skip if MPS cannot be started.
    """
    folders = {"CUDA_MPS_PIPE_DIRECTORY": "mps-pipe", "CUDA_MPS_LOG_DIRECTORY": "mps-log"}
    variables = {}
    for variable, name in folders.items():
        folder = bench.folder / name
        folder.mkdir()
        variables[variable] = str(folder)
    env = bench.env(**variables)
    try:
        bench.run([CONTROL, "-d"], 20.0, **variables)
    except Failed as error:
        raise Skip(f"MPS cannot be started: {error}") from None
    try:
        # The server begins to listen after the command has returned.
        time.sleep(1.0)
        measured = bench.beside([sys.executable, LOADS, "cuda", "4"], "mps", env=env)
    finally:
        subprocess.run(
            [CONTROL], env=env, input="quit\n", text=True, capture_output=True, timeout=20
        )
    for column in ("gpu_foreign_processes", "vram_tree_bytes", "vram_used_bytes"):
        asked = f"under MPS: {column}"
        bench.report.attempt(asked, _show, bench, asked, measured, column)
    reasons = measured.header["missing"].get("vram_tree_bytes", "none")
    bench.report.row("under MPS: reasons", reasons)


def _show(bench: Bench, asked: str, measured: Measured, column: str) -> None:
    value = max(measured.values(column))
    figure = f"{value:.0f}"
    if column.endswith("_bytes"):
        figure = mib(value)
    bench.report.row(asked, figure)
