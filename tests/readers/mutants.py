"""Damage to files, by a seeded generator: to bytes, to what is packed, to words of a text, to parts of a JSON."""

import copy
import gzip
import io
import json
import re
import zipfile

import numpy as np

WORDS = re.compile(r"\s+|[A-Za-z_][\w.\-]*|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|.", re.DOTALL | re.IGNORECASE)
NUMBERS = [
    "-1",
    "0",
    "1e400",
    "-1e308",
    "NaN",
    ".nan",
    ".inf",
    "Infinity",
    "1" + "0" * 30,
    "9" * 5000,
    "0.5",
    "-0",
    "2",
]
TEXTS = [
    "",
    "\x00",
    "\x1b[2J",
    "x" * 50_000,
    "\u202e",
    '"',
    "'",
    "[" * 3000,
    "{" * 200,
    "&a ",
    "*a",
    "\t",
    "\n",
    ": ",
    ",",
]
VALUES = [None, True, -1, 0, 1e99, 1e200, 10**30, -(10**30), 10**400, 0.5, "", "x", "\x1b[2J\n", "x" * 50_000, [], {},
          [[]], {"a": None}, "1e400", "nan", 2**60, -0.5]  # fmt: skip
SIZES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1, 10**6, 10**12]


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Bits flipped, bytes cut off, put in, taken out, doubled or swapped, a number of some bytes made extreme."""
    data = bytearray(content)
    for _ in range(1 if rng.random() < 0.7 else int(rng.integers(2, 6))):
        start, stop = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        stop = min(stop, start + 2 ** int(rng.integers(0, 12)))
        match rng.choice(
            ["flip", "number", "cut", "insert", "delete", "double", "swap"], p=np.array([4, 4, 2, 1, 1, 1, 1]) / 14
        ):
            case "flip" if data:
                for at in rng.integers(0, len(data), int(rng.integers(1, 5))).tolist():
                    data[at] ^= 1 << int(rng.integers(8))
            case "number" if data:
                at, width = int(rng.integers(len(data))), int(rng.choice([1, 2, 4, 8]))
                number = SIZES[rng.integers(len(SIZES))] % 256**width
                data[at : at + width] = number.to_bytes(width, "little" if rng.random() < 0.6 else "big")
            case "cut":
                del data[start:]
            case "insert":
                data[start:start] = rng.bytes(int(rng.integers(1, 64)))
            case "delete":
                del data[start:stop]
            case "double":
                data[start:start] = data[start:stop]
            case "swap":
                block, other = data[start:stop], int(rng.integers(0, len(data) + 1))
                del data[start:stop]
                data[other:other] = block
    return bytes(data)


def damaged_inside(content: bytes, rng: np.random.Generator) -> bytes:
    """A packed file whose contents are damaged, and packed again so that no checksum tells."""
    if content[:2] == b"\x1f\x8b":
        return gzip.compress(damaged(gzip.decompress(content), rng))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {member: archive.read(member) for member in archive.infolist()}
    chosen = list(members)[rng.integers(len(members))]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, inside in members.items():
            archive.writestr(member, damaged(inside, rng) if member is chosen else inside)
    return buffer.getvalue()


def reworded(content: bytes, rng: np.random.Generator) -> bytes:
    """Words of a text replaced, doubled, swapped or left out, numbers made extreme."""
    words = WORDS.findall(content.decode())
    for _ in range(1 if rng.random() < 0.7 else int(rng.integers(2, 5))):
        at, other = rng.integers(0, len(words), 2).tolist()
        numbers = [k for k, word in enumerate(words) if word[-1:].isdigit()] or [at]
        match rng.choice(["number", "text", "delete", "double", "swap", "lines"]):
            case "number":
                words[numbers[rng.integers(len(numbers))]] = NUMBERS[rng.integers(len(NUMBERS))]
            case "text":
                words[at] = TEXTS[rng.integers(len(TEXTS))]
            case "delete":
                words[at] = ""
            case "double":
                words[at] *= 2
            case "swap":
                words[at], words[other] = words[other], words[at]
            case "lines":
                words[at:at] = words[min(at, other) : min(at, other) + 40]
    return "".join(words).encode()


def reshaped(content: bytes, rng: np.random.Generator) -> bytes:
    """Values of a JSON replaced, left out, doubled, or put where others stood."""
    values = json.loads(content)
    for _ in range(1 if rng.random() < 0.7 else int(rng.integers(2, 4))):
        parent, key = _place(values, rng)
        match rng.choice(["nudge", "nudge", "nudge", "value", "delete", "double", "swap", "shuffle", "rename"]):
            case "nudge" if not isinstance(parent[key], dict | list):
                parent[key] = _nudged(parent[key], rng)
            case "nudge" if parent[key]:
                part = parent[key]
                part.pop(
                    list(part)[rng.integers(len(part))] if isinstance(part, dict) else int(rng.integers(len(part)))
                )
            case "value":
                parent[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
            case "delete":
                del parent[key]
            case "double" if isinstance(parent, list):
                parent.insert(key, copy.deepcopy(parent[key]))
            case "swap":
                other, name = _place(values, rng)
                parent[key] = copy.deepcopy(other[name])
            case "shuffle" if isinstance(parent[key], list):
                rng.shuffle(parent[key])
            case "rename" if isinstance(parent, dict):
                parent[f"{key}x"] = parent.pop(key)
            case _:
                parent[key] = -1
        if not values:
            break
    return json.dumps(values).encode()


def _nudged(value, rng: np.random.Generator):
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        others = [0, 1, 2, 7, 10**6, 2**52] if isinstance(value, int) else [0.0, -1.0, 0.5, 1e-300, 1e6, 1e99, -1e99]
        return type(value)(others[rng.integers(len(others))])
    if isinstance(value, str):
        others = [
            "",
            "x",
            f"{value}x",
            "\x1b[31m\n\u202e",
            "<script>",
            "0.5",
            "$\\frac{",
            "y" * 9000,
            "1999-01-01T00:00+14:00",
        ]
        return others[rng.integers(len(others))]
    return value


def _place(values, rng: np.random.Generator):
    """A random place in a tree: what holds it, and its key there."""
    parent, key = None, None
    part = values
    while isinstance(part, dict | list) and part and (parent is None or rng.random() < 0.85):
        parent = part
        key = list(part)[rng.integers(len(part))] if isinstance(part, dict) else int(rng.integers(len(part)))
        part = part[key]
    return (values, "x") if parent is None else (parent, key)
