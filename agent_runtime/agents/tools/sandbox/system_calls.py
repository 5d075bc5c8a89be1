"""A filter of system calls (seccomp) for programs in the sandbox: what no ordinary program needs is refused.

It is a list of what is forbidden, not of what is allowed, so that Python and its libraries go on working: less of the
kernel lies open, and no socket reaches the internet, not even where the kernel gives no network namespace.
"""

from __future__ import annotations

import errno
import struct

# From linux/audit.h, linux/filter.h, linux/bpf_common.h and linux/seccomp.h.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD_WORD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT = 0, 4, 16
_OTHER_ABI_FROM = 0x40000000
"""Numbers from here on are x86-64's second interface, x32, where every call has another number."""
_UNIX = 1
"""The family of sockets that stay on the machine."""

_SOCKET = {"x86_64": 41, "aarch64": 198}
_FORBIDDEN = {
    "ptrace": (101, 117),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "swapon": (167, 224),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "perf_event_open": (298, 241),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "pidfd_getfd": (438, 438),
    "mount_setattr": (442, 442),
}
"""Call -> its number on x86-64, on 64-bit ARM."""


def filter_for(machine: str) -> bytes | None:
    """The filter's program, as the kernel takes it; None where the machine's numbers are not known.

    Args:
        machine: as ``os.uname().machine`` has it.
    """
    architecture = _ARCHITECTURES.get(machine)
    if architecture is None:
        return None
    column = 0 if machine == "x86_64" else 1
    numbers = [call[column] for call in _FORBIDDEN.values()]
    # Jumps are counted from the next instruction. Three returns stand at the end: allow, fail, kill.
    checks = len(numbers)
    program = [
        _instruction(_LOAD_WORD, 0, 0, _AT_ARCHITECTURE),
        _instruction(_JUMP_IF_EQUAL, 0, 1 + 1 + checks + 1 + 1 + 1 + 2, architecture),
        _instruction(_LOAD_WORD, 0, 0, _AT_NUMBER),
        _instruction(_JUMP_IF_AT_LEAST, checks + 1 + 1 + 1 + 1, 0, _OTHER_ABI_FROM),
        *(_instruction(_JUMP_IF_EQUAL, checks - index + 3, 0, number) for index, number in enumerate(numbers)),
        _instruction(_JUMP_IF_EQUAL, 0, 2, _SOCKET[machine]),
        _instruction(_LOAD_WORD, 0, 0, _AT_FIRST_ARGUMENT),
        _instruction(_JUMP_IF_EQUAL, 0, 1, _UNIX),
        _instruction(_RETURN, 0, 0, _ALLOW),
        _instruction(_RETURN, 0, 0, _FAIL | errno.EPERM),
        _instruction(_RETURN, 0, 0, _KILL),
    ]
    return b"".join(program)


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
