"""The memory of the process."""

import ctypes
import gc


def settle() -> None:
    """Collect what is rubbish, give it back to the system, and keep the rest out of later collections.

    For when a service has read what it starts from: that stays, and to look for rubbish in it again and again would
    hold every request up. What imports and reading let go is some ten MiB that glibc keeps for itself otherwise.
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
