"""A whole Slurm with one node on this machine, for tests: started in seconds, gone with whoever started it.

`python tests/slurm/one_node.py -- COMMAND...` runs a command inside such a cluster.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_S, STOP_S, POLL_S = 30.0, 20.0, 0.1
PR_SET_PDEATHSIG = 1
CLONE_NEWNET, SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP = 0x40000000, 0x8914, 0x8916, 1
DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("srun", "sbatch", "scancel", "scontrol", "squeue", "sinfo", "sacct")
MUNGE_USER = "munge"
READY = "ready"
CONF = """ClusterName=evenground
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmdPort={node_port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MinJobAge=300
KillWait=2
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory_mb} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class CannotStart(Exception):
    """Why there can be no Slurm here."""


@dataclass(frozen=True)
class OneNode:
    """A running cluster."""

    folder: Path

    @property
    def host(self) -> str:
        """The node's name."""
        return _host()

    def environ(self) -> dict[str, str]:
        """Variables by which Slurm's commands find this cluster; those of another one are left out."""
        rest = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        path = os.pathsep.join([str(self.folder / "bin"), os.environ.get("PATH", "")])
        return {**rest, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def call(self, *command: str) -> str:
        """What one of Slurm's commands prints; CalledProcessError where it fails."""
        command = (str(self.folder / "bin" / command[0]), *command[1:])
        done = subprocess.run(
            command, env=self.environ(), capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


@contextmanager
def one_node(conf: Mapping[str, str] | None = None) -> Iterator[OneNode]:
    """A cluster of this machine alone, with further lines of slurm.conf; CannotStart with the reason.

    A guardian of its own holds the daemons and ends them, and all jobs, when this process closes it or dies.
    """
    reason = why_not()
    if reason:
        raise CannotStart(reason)
    command = [sys.executable, __file__, "--guard", *(f"{k}={v}" for k, v in (conf or {}).items())]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    guard = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
    assert guard.stdin and guard.stdout
    try:
        word, _, rest = guard.stdout.readline().strip().partition(" ")
        if word != READY:
            raise CannotStart(rest or "its guardian ended")
        yield OneNode(Path(rest))
    finally:
        guard.stdin.close()
        guard.wait(timeout=2 * STOP_S)
        guard.stdout.close()


@contextmanager
def own_network() -> Iterator[None]:
    """In here, children of this thread have a loopback network of their own; the machine's if they may not.

    No port is taken twice, and a training waits for none of the machine's others: what keeps two of those
    apart is a name in the network (`evenground.runs.training`).
    """
    libc, here = ctypes.CDLL(None, use_errno=True), Path("/proc/thread-self/ns/net")
    with here.open("rb") as before:
        if libc.unshare(CLONE_NEWNET):
            yield
            return
        try:
            _loopback_up()
            yield
        finally:
            assert libc.setns(before.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


def _loopback_up() -> None:
    """`ip link set lo up`, which not every machine has, and a second address: netdevice(7).

    The C library finds no name's address where 127.0.0.1 is the only one (AI_ADDRCONFIG).
    """
    up = struct.pack("16sh22x", b"lo", IFF_UP)
    second = struct.pack("16sH2x4s16x", b"lo:1", socket.AF_INET, socket.inet_aton("127.0.0.2"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, up)
        fcntl.ioctl(control, SIOCSIFADDR, second)


def why_not() -> str | None:
    """What a cluster here lacks before anything is started; None where it may work."""
    missing = [name for name in (*DAEMONS, *COMMANDS) if shutil.which(name, path=_path()) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if os.geteuid():
        return "the daemons need root"
    try:
        pwd.getpwnam(MUNGE_USER)
    except KeyError:
        return f"no user '{MUNGE_USER}'"
    return None


def guard(conf: list[str]) -> None:
    """Start the daemons, say so, and stop them when standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder = Path(tempfile.mkdtemp(prefix="evenground-slurm-"))
    # Munge's own user has to reach its socket, and trusts no folder that others may write to.
    folder.chmod(0o755)
    cluster, daemons = OneNode(folder), []
    try:
        daemons = _start(cluster, conf)
        print(f"{READY} {folder}", flush=True)
        sys.stdin.read()
    except CannotStart as error:
        print(f"cannot {' '.join(str(error).split())}", flush=True)
    finally:
        _stop(cluster, daemons)
        shutil.rmtree(folder, ignore_errors=True)


def _start(cluster: OneNode, conf: list[str]) -> list[subprocess.Popen[bytes]]:
    folder = cluster.folder
    for name in ("state", "spool"):
        (folder / name).mkdir()
    _commands(folder)
    ports = dict(zip(("control_port", "node_port"), _free_ports(2), strict=True))
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    text = CONF.format(
        host=_host(), folder=folder, cores=os.cpu_count(), memory_mb=memory_mb, **ports
    )
    (folder / "slurm.conf").write_text(text + "".join(f"{line}\n" for line in conf))
    munge = _munge(folder)
    daemons = [munge]
    try:
        _wait(
            "munged",
            munge,
            lambda: (folder / "munge" / "socket").exists(),
            folder / "munge" / "log",
        )
        for name in ("slurmctld", "slurmd"):
            daemons.append(_daemon(cluster, name))
        log = folder / "slurmctld.log"
        _wait(
            "the node", daemons[1], lambda: _ask(cluster, "sinfo", "-h", "-o", "%T") == "idle", log
        )
    except CannotStart:
        _stop(cluster, daemons)
        raise
    return daemons


def _commands(folder: Path) -> None:
    """Slurm's commands for those who lost the variable: Snakemake's jobs drop most of Slurm's for theirs."""
    (folder / "bin").mkdir()
    for name in COMMANDS:
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {_program(name)} "$@"\n')
        script.chmod(0o755)


def _munge(folder: Path) -> subprocess.Popen[bytes]:
    """What signs Slurm's messages, with a key and a socket of this cluster."""
    place, user = folder / "munge", pwd.getpwnam(MUNGE_USER)
    place.mkdir()
    (place / "key").write_bytes(os.urandom(1024))
    (place / "key").chmod(0o400)
    for path in (place, place / "key"):
        os.chown(path, user.pw_uid, user.pw_gid)
    named = {
        "key-file": "key",
        "socket": "socket",
        "log-file": "log",
        "pid-file": "pid",
        "seed-file": "seed",
    }
    command = [
        _program("munged"),
        "--foreground",
        *(f"--{k}={place / v}" for k, v in named.items()),
    ]
    who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return _popen(command, place / "said", dict(os.environ), **who)


def _daemon(cluster: OneNode, name: str) -> subprocess.Popen[bytes]:
    command = [_program(name), "-D", "-f", str(cluster.folder / "slurm.conf")]
    return _popen(command, cluster.folder / f"{name}.said", cluster.environ())


def _popen(
    command: list[str], said: Path, env: dict[str, str], **who: object
) -> subprocess.Popen[bytes]:
    """A daemon that the kernel kills with this process, should that be killed itself."""
    libc = ctypes.CDLL(None)
    with said.open("wb") as file:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=env,
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
            **who,
        )


def _wait(what: str, daemon: subprocess.Popen[bytes], true: Callable[[], bool], log: Path) -> None:
    end_s = time.monotonic() + START_S
    while not true():
        if daemon.poll() is not None or time.monotonic() > end_s:
            logs = [path for path in (log, log.with_suffix(".said")) if path.is_file()]
            lines = [
                line
                for path in logs
                for line in path.read_text(errors="replace").splitlines()
                if line
            ]
            raise CannotStart(
                f"{what} did not come up: {lines[-1] if lines else 'it said nothing'}"
            )
        time.sleep(POLL_S)


def _stop(cluster: OneNode, daemons: list[subprocess.Popen[bytes]]) -> None:
    """Cancel all jobs, end the daemons, and kill what is left of either."""
    if len(daemons) > 1 and daemons[1].poll() is None:
        _ask(cluster, "scancel", "--user=root", "--signal=KILL", "--full")
        _ask(cluster, "scancel", "--user=root")
        end_s = time.monotonic() + STOP_S / 2
        while _ask(cluster, "squeue", "-h") and time.monotonic() < end_s:
            time.sleep(POLL_S)
    for daemon in reversed(daemons):
        daemon.terminate()
    for daemon in reversed(daemons):
        try:
            daemon.wait(timeout=STOP_S / 4)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
    for process in members(cluster.folder):
        os.kill(process, signal.SIGKILL)


def members(folder: Path) -> list[int]:
    """Processes of the cluster in `folder`, its jobs and their steps; not the calling one."""
    mark, found = f"SLURM_CONF={folder / 'slurm.conf'}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in variables and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


def _ask(cluster: OneNode, *command: str) -> str | None:
    try:
        return cluster.call(*command)
    except subprocess.CalledProcessError:
        return None


def _host() -> str:
    return socket.gethostname().split(".")[0]


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _program(name: str) -> str:
    found = shutil.which(name, path=_path())
    assert found
    return found


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def main() -> int:
    words = sys.argv[1:]
    if words[:1] == ["--guard"]:
        guard(words[1:])
        return 0
    if words[:1] != ["--"] or len(words) < 2:
        raise SystemExit(__doc__)
    try:
        with one_node() as cluster:
            return subprocess.run(words[1:], env=cluster.environ()).returncode
    except CannotStart as error:
        raise SystemExit(f"error: no Slurm here: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
