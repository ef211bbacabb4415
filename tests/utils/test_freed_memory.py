"""Memory that was freed is used again."""

import platform
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource
import numpy as np
{call}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2_000_000)
before = faults()
for _ in range(10):
    np.ones(2_000_000)
print(faults() - before)
"""

KEEP = "from lungpatch._utils.freed_memory import keep_freed_memory; keep_freed_memory()"


def page_faults(call: str) -> int:
    code = COUNT_FAULTS.format(call=call)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_large_arrays_do_not_get_new_pages_each_time():
    # 16 MB of ten arrays are 39,000 pages of 4 KB, or fewer larger ones.
    assert page_faults(KEEP) < page_faults("") / 10
