"""Opening model files without running what is in them.

A pickle is a program: whoever opens it runs it. So a file is recognised by its first bytes, not by its name; formats
that hold only numbers are opened, those that hold code are refused with the way to convert them, and nothing ever
falls back from the first kind to the second.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seepage.data.cache import reading
from seepage.errors import DataFileError, InputError, MissingExtraError, UnsafeFileError
from seepage.models import architectures
from seepage.models.sandbox import BATCH_TIME_S, MEMORY_BYTES, Sandbox, SandboxError
from seepage.outside import check_kinds

MAX_FILE_BYTES = 8 << 30
MAX_HEADER_BYTES = 25 << 20  # of a safetensors file
MAX_MEMBERS = 100_000  # of a zip file
TEXT_PICKLE_BYTES = 1 << 20  # in which such a pickle shows itself
MISMATCHES_SHOWN = 5

# How joblib's compressed pickles begin: gzip, bz2, xz, lzma, lz4, and zlib at each of its levels.
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"]\x00\x00", b"\x04\x22\x4d\x18", b"x\x01", b"x^", b"x\x9c", b"x\xda")

_LEGACY_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # after a pickle's first two bytes: torch.save before zip files

Architecture = str | Callable[..., nn.Module]

CONVERT_TORCH = """on a machine that trusts the file, save its weights as numbers:
    import torch, safetensors.torch
    model = torch.load({path!r}, weights_only=False)
    safetensors.torch.save_model(model, 'model.safetensors')
then load 'model.safetensors' with architecture=..."""

CONVERT_TORCHSCRIPT = """on a machine that trusts the file, save its weights as numbers:
    import torch, safetensors.torch
    model = torch.jit.load({path!r})
    safetensors.torch.save_file({{k: v.contiguous() for k, v in model.state_dict().items()}}, 'model.safetensors')
then load 'model.safetensors' with architecture=..."""

CONVERT_EXPORTED = """on a machine that trusts the file, save its weights as numbers:
    import torch, safetensors.torch
    state = torch.export.load({path!r}).state_dict
    safetensors.torch.save_file({{k: v.contiguous() for k, v in state.items()}}, 'model.safetensors')
then load 'model.safetensors' with architecture=..."""

CONVERT_PICKLE = """on a machine that trusts the file, convert it. A scikit-learn model:
    import joblib, skl2onnx
    model = joblib.load({path!r})
    onnx = skl2onnx.to_onnx(model, X[:1].astype('float32'), options={{'zipmap': False}})
    open('model.onnx', 'wb').write(onnx.SerializeToString())
A torch model or state dict: torch.load it, and write its state dict with safetensors.torch.save_file"""


@dataclass(frozen=True)
class LoadedModel:
    """A model from a file, and how it was opened.

    Attributes:
        model: an `nn.Module`, a `Sandbox`, or whatever the trusted file held.
        format: "safetensors", "state-dict", "onnx", "lightgbm", "torch-module", "torchscript" or "pickle".
        sha256: of the file.
        trusted: code in the file was allowed to run. A report says so.
    """

    model: Any
    format: str
    sha256: str
    trusted: bool = False


def load_model(
    path: Path | str,
    *,
    architecture: Architecture | None = None,
    options: Mapping[str, Any] | None = None,
    input_shape: tuple[int, ...] | None = None,
    n_classes: int | None = None,
    output_name: str | None = None,
    trust_code: bool = False,
    max_bytes: int = MAX_FILE_BYTES,
    memory_bytes: int = MEMORY_BYTES,
    batch_time_s: float = BATCH_TIME_S,
) -> LoadedModel:
    """Opens a model file.

    Weights (safetensors, or a torch state dict read with `weights_only=True`) need an architecture to put them in.
    ONNX files and LightGBM text files are opened, and later asked, in a child process with limits.

    Args:
        architecture: a registered name, or a callable `(input_shape, n_classes, **options)` of yours.
        options: of the architecture.
        input_shape: of one record.
        output_name: which output of an ONNX graph to read, where several could be meant.
        trust_code: also open files that may run code: pickle, joblib, whole torch modules, TorchScript.
        max_bytes: larger files are refused.
        memory_bytes, batch_time_s: limits of the child process.

    Raises:
        UnsafeFileError: opening the file could run code, and `trust_code` was not given.
        DataFileError: the file is missing, too large, corrupt, or of no known format.
        InputError: weights and architecture do not fit, or the architecture is not given.
        MissingExtraError: the package that reads this format is not installed.

    Reference: the attacks that shaped these checks are CVE-2025-32434 and CVE-2026-24747 (torch), the unsafe
    fallback of `torch.export.load` (pytorch pull request 176791), and compressed or expanded tensors that take a
    thousand times the memory of their file.
    """
    check_kinds(
        "load_model", path=(path, str | os.PathLike), options=(options, Mapping | None),
        n_classes=(n_classes, int | None), output_name=(output_name, str | None),
        trust_code=(trust_code, bool), max_bytes=(max_bytes, int),
    )  # fmt: skip
    path = Path(path)
    if not os.path.isfile(path):
        raise DataFileError(f"there is no model file {path}")
    size = path.stat().st_size
    if size > max_bytes:
        raise DataFileError(f"{path} has {size} bytes, more than the limit of {max_bytes}: raise max_bytes to load it")
    kind = file_format(path)

    if kind in ("safetensors", "torch-zip"):
        state = read_safetensors(path) if kind == "safetensors" else _read_state_dict(path, trust_code=trust_code)
        if isinstance(state, nn.Module):
            return LoadedModel(state, "torch-module", _sha256(path), trusted=True)
        module = _fill(state, path, architecture, options or {}, input_shape, n_classes)
        return LoadedModel(module, "safetensors" if kind == "safetensors" else "state-dict", _sha256(path))
    if kind in ("onnx", "lightgbm"):
        package, extra = ("onnxruntime", "onnx") if kind == "onnx" else ("lightgbm", "tabular")
        if find_spec(package) is None:
            raise MissingExtraError(package, extra, f"reading {path}")
        try:
            limits = {"memory_bytes": memory_bytes, "batch_time_s": batch_time_s}
            return LoadedModel(Sandbox(kind, path, output_name=output_name, **limits), kind, _sha256(path))
        except SandboxError as error:
            raise DataFileError(f"{path} could not be opened as {kind}: {error}") from error
    if kind == "torchscript":
        if trust_code:
            with reading(path, "TorchScript"):
                return LoadedModel(torch.jit.load(path, map_location="cpu"), kind, _sha256(path), trusted=True)
        raise _unsafe(path, "a TorchScript archive: its code can write files when it runs", CONVERT_TORCHSCRIPT)
    if kind == "torch-export":
        raise _unsafe(path, "a .pt2 archive: torch unpickles parts of it without checks", CONVERT_EXPORTED, way=False)
    if trust_code:
        return LoadedModel(_unpickle(path), "pickle", _sha256(path), trusted=True)
    raise _unsafe(path, "a pickle (pickle, joblib or an old torch file): opening it runs code", CONVERT_PICKLE)


def file_format(path: Path) -> str:
    """What the file is by its contents: "safetensors", "torch-zip", "torchscript", "torch-export", "onnx", "lightgbm"
    or "pickle" (also compressed).

    Raises:
        DataFileError: none of these.
    """
    with reading(path), path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"PK\x03\x04"):
        return _zip_format(path)
    if head.startswith(b"tree\n"):
        return "lightgbm"
    if len(head) > 9 and head[8:9] == b"{":
        return "safetensors"
    if head[:1] == b"\x80" or head.startswith(_COMPRESSED):
        return "pickle"
    # A protobuf whose first field is ONNX's ir_version, a small number, followed by another field of ModelProto.
    if len(head) > 2 and head[0] == 0x08 and head[1] < 0x40 and head[2] & 7 in (0, 2) and 2 <= head[2] >> 3 <= 25:
        return "onnx"
    if _is_text_pickle(path):
        return "pickle"
    raise DataFileError(
        f"{path} is no model file that can be read here: expected safetensors, a torch state dict (torch.save of "
        "model.state_dict()), ONNX, or a LightGBM text file"
    )


def _is_text_pickle(path: Path) -> bool:
    """Protocols 0 and 1 have no first byte of their own: see whether the first opcodes read as such (none is run)."""
    with path.open("rb") as file:
        head = io.BytesIO(file.read(TEXT_PICKLE_BYTES))
    try:
        return len(list(itertools.islice(pickletools.genops(head), 32))) > 1
    except Exception:  # of bytes that are no pickle, its opcodes can make anything
        return False


def _zip_format(path: Path) -> str:
    """Which of torch's archives it is; a state dict that could unpack to more than its file is refused."""
    with reading(path, "zip"), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise DataFileError(f"{path} has {len(members)} members, more than the limit of {MAX_MEMBERS}")
    names = {member.filename.split("/", 1)[-1] for member in members}  # all are in one folder, named like the file
    if "archive_format" in names or any(name.endswith("exported_program.json") for name in names):
        return "torch-export"
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        return "torchscript"
    if "data.pkl" not in names:
        raise DataFileError(f"{path} is a zip file, but not one that torch.save writes")
    for member in members:
        name = member.filename
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
            raise DataFileError(f"{path} has a member outside of the archive: {name!r}")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise DataFileError(f"{path} has a compressed member, {name!r}: torch.save writes none, save it again")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise DataFileError(f"{path} declares more bytes than it has")
    return "torch-zip"


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        DataFileError: the file is missing or damaged, or its header is too long.
    """
    from safetensors.torch import load_file

    with reading(path, "safetensors"):
        with path.open("rb") as file:
            n_header = int.from_bytes(file.read(8), "little")
        if n_header > MAX_HEADER_BYTES:
            raise ValueError(f"it has a header of {n_header} bytes, more than the limit of {MAX_HEADER_BYTES}")
        return load_file(path, device="cpu")


def read_state(path: Path) -> dict[str, Tensor]:
    """The weights in a file, safetensors or a torch state dict, without an architecture to put them in.

    Raises:
        UnsafeFileError: opening the file could run code.
        DataFileError: it is missing, damaged, or of no known format.
        InputError: it holds no state dict.
    """
    kind = file_format(path)
    if kind == "safetensors":
        return read_safetensors(path)
    if kind == "torch-zip":
        return _read_state_dict(path, trust_code=False)
    raise InputError(f"{path} holds no plain weights ({kind}): save them with safetensors.torch.save_file(state, path)")


def _read_state_dict(path: Path, *, trust_code: bool) -> dict[str, Tensor] | nn.Module:
    try:
        state = read_torch(path)
    except UnsafeFileError:
        if not trust_code:
            raise
        state = _unpickle(path)
    if trust_code and isinstance(state, nn.Module):
        return state
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise InputError(
            f"{path} holds a {type(state).__name__}, expected a state dict: torch.save(model.state_dict())"
        )
    nested = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if nested:
        inner = next((name for name in nested if isinstance(state[name], Mapping)), None)
        hint = "save model.state_dict() itself"
        if inner is not None:
            hint = f"take the weights out: torch.save(torch.load(path, weights_only=True)[{inner!r}], new_path)"
        raise InputError(f"{path} has entries that are no tensors ({', '.join(map(repr, nested[:3]))}): {hint}")
    return dict(state)


def read_torch(path: Path) -> Any:
    """What a file of `torch.save` holds, if it is tensors, containers and numbers alone.

    Raises:
        UnsafeFileError: it holds more, and would run code.
        DataFileError: it is damaged, or its tensors claim more than its bytes.
    """
    with reading(path, "torch"):
        try:
            with path.open("rb") as file:  # given a name, torch would judge by its extension
                content = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            reason = "a torch file with more than tensors in it (a whole module?), or damaged: opening it runs code"
            raise _unsafe(path, reason, CONVERT_TORCH) from error
        parts = content.values() if isinstance(content, Mapping) else [content]
        parts = [value for part in parts for value in (part.values() if isinstance(part, Mapping) else [part])]
        tensors = [part for part in parts if isinstance(part, Tensor)]
        if any(one.layout is not torch.strided or one.is_quantized or one.device.type != "cpu" for one in tensors):
            raise ValueError("it holds tensors that are sparse, quantised or without values: save plain ones")
        # A view can claim any shape over few bytes (torch.Tensor.expand): it would be paid for when it is copied.
        if sum(one.numel() * one.element_size() for one in tensors) > 2 * path.stat().st_size:
            raise ValueError("it declares tensors larger than itself")
        return content


def _fill(
    state: dict[str, Tensor],
    path: Path,
    architecture: Architecture | None,
    options: Mapping[str, Any],
    input_shape: tuple[int, ...] | None,
    n_classes: int | None,
) -> nn.Module:
    """A new module of that architecture with these weights in it, in eval mode."""
    if architecture is None or input_shape is None or n_classes is None:
        raise InputError(
            f"{path} holds weights only: pass the architecture, its input_shape and n_classes. "
            f"There are: {', '.join(architectures.ARCHITECTURES)}"
        )
    with torch.random.fork_rng(devices=[]):  # its initial weights are overwritten: nobody's stream should pay for them
        if isinstance(architecture, str):
            module: nn.Module = architectures.build(architecture, tuple(input_shape), n_classes, **options)
        else:
            module = architecture(tuple(input_shape), n_classes, **options)
    expected = module.state_dict()
    mismatches = [f"'{name}' is missing" for name in expected if name not in state]
    mismatches += [f"'{name}' is not in the architecture" for name in state if name not in expected]
    for name in (name for name in expected if name in state):
        if expected[name].shape != state[name].shape:
            shapes = tuple(state[name].shape), tuple(expected[name].shape)
            mismatches.append(f"'{name}' has shape {shapes[0]} in the file, {shapes[1]} in the architecture")
        elif expected[name].is_floating_point() != state[name].is_floating_point():
            mismatches.append(
                f"'{name}' is {state[name].dtype} in the file, {expected[name].dtype} in the architecture"
            )
    if mismatches:
        shown = "\n    ".join(mismatches[:MISMATCHES_SHOWN])
        more = f"\n    and {len(mismatches) - MISMATCHES_SHOWN} more" if len(mismatches) > MISMATCHES_SHOWN else ""
        raise InputError(f"the weights in {path} do not fit the architecture {architecture!r}:\n    {shown}{more}")
    with reading(path):
        module.load_state_dict(state)
    return module.eval()


def _unpickle(path: Path) -> Any:
    """Runs whatever the file says: only after the user asked for it."""
    import joblib

    try:
        with path.open("rb") as file:
            head = file.read(20)
            file.seek(0)
            if head.startswith(b"PK") or head[2:14] == _LEGACY_TORCH:
                return torch.load(file, map_location="cpu", weights_only=False)
        return joblib.load(path)
    except (Exception, SystemExit) as error:  # a pickle can raise anything, and end the program
        raise DataFileError(f"{path} could not be unpickled: {type(error).__name__}: {_first_line(error)}") from error


def _unsafe(path: Path, reason: str, conversion: str, *, way: bool = True) -> UnsafeFileError:
    trust = "\nIf you trust whoever made it, pass trust_code=True (--trust-code)." if way else ""
    return UnsafeFileError(f"{path} is {reason}. It was not opened.\n{conversion.format(path=str(path))}{trust}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
