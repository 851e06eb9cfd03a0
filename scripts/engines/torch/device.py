"""PyTorch's device and settings: GPU or CPU, threads, precision, where compiled code is kept."""

from __future__ import annotations

import os
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python_protocol"))
# OpenMP reads it once, when PyTorch is loaded. Its threads would otherwise spin between two
# products, and on a busy machine keep each other from working.
os.environ["OMP_WAIT_POLICY"] = "passive"

import evenground_engine as protocol
import torch

VERSIONS = {"torch": torch.__version__}


def configure(args: Namespace) -> str:
    """Apply the command line before the first tensor exists; returns `cpu` or `cuda:NAME`.

    Raises EngineError if there is not one GPU to use.
    """
    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = args.options["tf32"]
    torch.backends.cudnn.allow_tf32 = args.options["tf32"]
    if args.options["compile"]:
        # With a cache that is left over, the second repetition would compile faster than the first.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="evenground-inductor-")
    if args.accelerator == "cuda":
        numbers = list(range(torch.cuda.device_count()))
        number = protocol.one_gpu("PyTorch", numbers, why_no_gpu)
        return f"cuda:{torch.cuda.get_device_name(number)}"
    protocol.hide_gpus()
    return "cpu"


def why_no_gpu() -> str:
    """PyTorch's reason for not using a GPU."""
    if torch.version.cuda is None:
        return "this PyTorch is built without CUDA"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0]
    return "it gives no reason"


def target(args: Namespace) -> torch.device:
    """Where tensors are; call it after `configure`."""
    return torch.device(args.accelerator)
