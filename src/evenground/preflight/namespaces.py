"""How user namespaces are allowed, which an Apptainer without setuid needs to start a container."""

from __future__ import annotations

from pathlib import Path

# Of Ubuntu 23.10 and newer: 1 where a program without an AppArmor profile of its own gets none.
RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


def how_to_allow(restricted: Path = RESTRICTED) -> str:
    """The fix for this machine; `restricted` is a setting of the kernel that only Ubuntu's has."""
    try:
        by_apparmor = restricted.read_text(encoding="ascii").strip() == "1"
    except OSError:
        by_apparmor = False
    if by_apparmor:
        return (
            "Ubuntu gives programs without an AppArmor profile no user namespace ("
            "kernel.apparmor_restrict_unprivileged_userns=1): install Apptainer from its own .deb or "
            "ppa:apptainer/ppa, which bring one, or write one (docs/containers.md), or install apptainer-suid"
        )
    return (
        "allow user namespaces (sysctl user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1), "
        "or install Apptainer with setuid"
    )
