"""What this installation is made of, and what is wrong with it."""

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

FLOOR = (2, 11)
LEAST_FREE_BYTES = 1 << 30


def checks() -> Iterator[tuple[str, str, str | None]]:
    """(what, how it is, the problem with it or None), one at a time."""
    import numpy
    import torch

    from seepage.data.cache import cache_folder
    from seepage.models.plan import free_bytes, n_cores
    from seepage.version import __version__

    yield "seepage", __version__, None
    old = sys.version_info < (3, 11)
    yield "python", platform.python_version(), "Python 3.11 or newer is needed" if old else None
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    problem = None if version >= FLOOR else "older versions load files unsafely: pip install 'torch>=2.11'"
    yield "torch", torch.__version__, problem
    built = torch.version.cuda or torch.version.hip
    there = torch.cuda.is_available()
    odd = built is not None and not there
    yield (
        "gpu",
        torch.cuda.get_device_name() if there else "none",
        ("this is a GPU build of PyTorch (several GB) and there is no GPU: the CPU build would do" if odd else None),
    )
    if importlib.util.find_spec("torchvision"):
        try:
            import torchvision

            yield "torchvision", torchvision.__version__, None
        except (ImportError, RuntimeError) as error:
            yield "torchvision", "broken", f"it does not fit this PyTorch ({error}): pip uninstall torchvision"
    yield "numpy", numpy.__version__, None
    yield "cores", f"{n_cores()} of {os.cpu_count()}", None
    memory = free_bytes(torch.device("cpu"))
    yield "memory", f"{memory / 2**30:.1f} GiB free", None if memory > LEAST_FREE_BYTES else "less than 1 GiB is free"
    for extra, package in (("onnx", "onnxruntime"), ("parquet", "pyarrow"), ("tabular", "lightgbm")):
        found = importlib.util.find_spec(package) is not None
        yield extra, "installed" if found else f"not installed (pip install 'seepage[{extra}]')", None
    cache = Path(cache_folder())
    at = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(at).free
    problem = None if free > LEAST_FREE_BYTES else "less than 1 GiB is free"
    yield "data cache", f"{cache} ({free / 2**30:.0f} GiB free)", problem
