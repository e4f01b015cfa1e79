"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
import sys

# Names of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 2**30
# Up to where pieces are not mapped one by one; some versions of glibc take no more than the second.
_MAPPED_BYTES = (2**30, 2**25)


def keep_freed_memory() -> bool:
    """Let glibc keep up to 1 GiB of what this process frees for the next tensors.

    By default it gives large pieces back to the system at once. Activations are freed after each batch and taken anew
    in the next, page by page: on a CPU, networks of pictures spend up to half of their time on that. Where they are of
    some 100 MB each, gaps between them raise what a process needs at most by up to a third.

    Returns:
        Whether the C library is one that can.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    is_unmapped = any(library.mallopt(_M_MMAP_THRESHOLD, size) for size in _MAPPED_BYTES)
    return is_unmapped and bool(library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
