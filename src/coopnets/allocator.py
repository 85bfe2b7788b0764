"""The C library's memory allocator, told to keep what it has."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""From glibc's malloc.h."""


def keep_memory() -> bool:
    """Reuse freed memory for the next large tensor; return whether the allocator obliges.

    By default glibc takes large blocks from the kernel and hands them back at once, so every
    large intermediate result of a network begins with page faults. Linux with glibc alone;
    elsewhere nothing happens. Concerns the whole process, so only the command line calls it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
