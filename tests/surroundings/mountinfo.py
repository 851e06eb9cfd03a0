"""What Apptainer 1.4 mounts, as /proc/self/mountinfo has it inside: the lines that matter of each way."""

from __future__ import annotations

from pathlib import Path

COPY = "/home/ana/copy"
# As everywhere: devices, the kernel's folders, names of hosts, the copy, the driver's libraries.
EVERYWHERE = f"""\
178 176 0:6 / /dev rw,relatime master:39 - devtmpfs devtmpfs rw,size=12334432k,mode=755
184 176 254:0 /etc/hosts /etc/hosts rw,nosuid,nodev,relatime master:24 - ext4 /dev/vda rw,discard
185 176 0:21 / /proc rw,nosuid,nodev,relatime master:26 - proc proc rw
186 176 0:22 / /sys rw,nosuid,nodev,relatime - sysfs sysfs rw
188 176 254:0 {COPY} {COPY} rw,nosuid,nodev,relatime master:24 - ext4 /dev/vda rw,discard
189 176 254:0 /tmp /tmp rw,nosuid,nodev,relatime master:24 - ext4 /dev/vda rw,discard
205 176 0:44 /libs /.singularity.d/libs ro,nosuid,nodev,relatime master:45 - tmpfs tmpfs rw
206 205 254:0 /usr/lib/x86_64-linux-gnu/libcuda.so.550 /.singularity.d/libs/libcuda.so.1 ro - ext4 /dev/vda rw
207 176 254:0 /usr/bin/nvidia-smi /usr/bin/nvidia-smi ro,nosuid,nodev master:24 - ext4 /dev/vda rw
208 176 254:0 /usr/bin/nvidia-cuda-mps-control /usr/bin/nvidia-cuda-mps-control ro - ext4 /dev/vda rw
220 176 0:44 /etc/resolv.conf /etc/resolv.conf rw,nosuid,relatime master:45 - tmpfs tmpfs rw
"""
SESSION = "/var/lib/apptainer/mnt/session"
_LOWER = f"lowerdir={SESSION}/overlay-lowerdir:{SESSION}/rootfs"
_ROOT = "176 85 0:45 / / rw,nodev,relatime unbindable - overlay overlay"
OVERLAY = f"{_ROOT} ro,{_LOWER},redirect_dir=on\n{EVERYWHERE}"
# With `--overlay FOLDER:ro`.
OVERLAID = (
    f"{_ROOT} ro,lowerdir={SESSION}/overlay-images/0:{_LOWER.partition('=')[2]}\n{EVERYWHERE}"
)
_UPPER = f"upperdir={SESSION}/tmpfs/upper,workdir={SESSION}/tmpfs/work,xino=on"
WRITABLE_TMPFS = f"{_ROOT} rw,{_LOWER},{_UPPER}\n{EVERYWHERE}"


def _underlay(device: str, root: str, kind: str) -> str:
    """Each of the image's folders is mounted by itself in a folder of Apptainer's."""
    places = ("/etc/hosts", "/etc/resolv.conf", "/.singularity.d", "/opt", "/usr", "/var", "/tmp")
    own = [
        f"197 196 {device} {root}{place} {place} ro,nosuid,nodev master:46 - {kind}"
        for place in places
    ]
    root_line = "196 85 0:44 /underlay / ro,nosuid,relatime master:45 - tmpfs tmpfs rw"
    return "\n".join([root_line, *own, EVERYWHERE])


# `enable overlay = no` in apptainer.conf, or a kernel that lets users mount none.
UNDERLAY = _underlay("7:1", "", "squashfs /dev/loop1 ro,errors=continue")
UNPACKED_UNDERLAY = _underlay("254:0", "/tmp/rootfs-3983366117/root", "ext4 /dev/vda rw,discard")
# Neither of the two: the image itself is the root.
NO_LAYER = f"172 85 7:1 / / ro,nosuid,nodev master:46 - squashfs /dev/loop1 ro,errors=continue\n{EVERYWHERE}"
UNPACKED_NO_LAYER = (
    "153 42 254:0 /tmp/rootfs-3693239632/root / ro,nosuid,nodev master:3 - ext4 /dev/vda rw\n"
    f"{EVERYWHERE}"
)
WAYS = {
    "overlay": OVERLAY,
    "underlay": UNDERLAY,
    "unpacked underlay": UNPACKED_UNDERLAY,
    "no layer": NO_LAYER,
    "unpacked, no layer": UNPACKED_NO_LAYER,
}


def bound(target: str, source: str = "/srv") -> str:
    """The line of a bind; a file system of the machine's."""
    return (
        f"221 176 254:0 {source} {target} rw,nosuid,nodev,relatime master:24 - ext4 /dev/vda rw\n"
    )


def written(text: str, folder: Path) -> Path:
    """The text as a file."""
    path = folder / "mountinfo"
    path.write_text(text)
    return path
