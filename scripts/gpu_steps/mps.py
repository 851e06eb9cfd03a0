"""What the sidecar sees where NVIDIA's MPS stands between processes and card (B6)."""

from __future__ import annotations

import subprocess
import sys
import time

from gpu_steps.bench import LOADS, Bench, Measured, mib
from gpu_steps.report import Skip

CONTROL = "nvidia-cuda-mps-control"


def columns(bench: Bench) -> None:
    """Processes and memory of a load under an MPS server of our own, which is ended afterwards."""
    folders = {name: str(bench.folder / name) for name in ("pipe", "log")}
    own = {"CUDA_MPS_PIPE_DIRECTORY": folders["pipe"], "CUDA_MPS_LOG_DIRECTORY": folders["log"]}
    for name in folders:
        (bench.folder / name).mkdir()
    env = bench.env(**own)
    try:
        subprocess.run([CONTROL, "-d"], env=env, check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        raise Skip(f"MPS cannot be started: {error}") from None
    try:
        time.sleep(1.0)
        measured = bench.beside([sys.executable, LOADS, "cuda", "4"], "mps", variables=own)
    finally:
        subprocess.run(
            [CONTROL], env=env, input="quit\n", text=True, capture_output=True, timeout=20
        )
    for column in ("gpu_foreign_processes", "vram_tree_bytes", "vram_used_bytes"):
        asked = f"under MPS: {column}"
        bench.report.attempt(asked, _show, bench, asked, measured, column)
    bench.report.row(
        "under MPS: reasons", measured.header["missing"].get("vram_tree_bytes", "none")
    )


def _show(bench: Bench, asked: str, measured: Measured, column: str) -> None:
    value = max(measured.values(column))
    bench.report.row(asked, mib(value) if asked.endswith("_bytes") else f"{value:.0f}")
