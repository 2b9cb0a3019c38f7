"""What the annotations of options say is what is refused: by their class and by pydantic, for every class there is."""

import math
import pkgutil
import re
import subprocess
import sys
from dataclasses import MISSING, dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import numpy as np
import pytest
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import TypeAdapter, ValidationError

import seepage
from seepage.attacks import ATTACKS
from seepage.defences import DEFENCES
from seepage.errors import InputError
from seepage.inversion.catalogue import INVERSIONS
from seepage.options import Kind, OneOf, Options, declared

if TYPE_CHECKING:
    from nowhere import Unknown

REQUIRED = {  # of classes that cannot be made without
    "GradientDescent": {"lr": 0.1},
    "Momentum": {"lr": 0.1},
    "Adam": {"lr": 0.1},
    "Steps": {"milestones": (1,)},
    "StopAt": {"accuracy": 0.5},
    "Recipe": {"model": seepage.MLP},
    "Canaries": {"kind": "clean", "n": 8},
}


def all_classes():
    """Every class of options that can be made, in a fixed order."""
    for module in pkgutil.walk_packages(seepage.__path__, "seepage."):
        if not module.name.startswith(("seepage.cli", "seepage.report", "seepage.__main__")):
            import_module(module.name)
    found, at = [], [Options]
    while at:
        below = [each for each in at.pop().__subclasses__() if each.__module__.startswith("seepage.")]
        found += below
        at += below
    unique = dict.fromkeys(found)
    return sorted((c for c in unique if not getattr(c, "__abstractmethods__", None)), key=lambda c: c.__qualname__)


def outside(kind: Kind):
    """Values just outside of what one alternative admits, and of other kinds."""
    b = kind.bounds
    if kind.type in (int, float):
        step = 1 if kind.type is int else 1e-9
        yield from (v for v in (b.gt, b.lt) if v is not None)
        yield from (v - step * max(1, abs(v)) for v in (b.ge,) if v is not None)
        yield from (v + step * max(1, abs(v)) for v in (b.le,) if v not in (None, math.inf))
        yield from (math.nan, True, "x", -math.inf)
        if b.le != math.inf:
            yield math.inf
        if kind.type is int:
            yield 1.5
    elif kind.type is tuple:
        yield from ("ab", 3)
        if kind.shortest:
            yield ()
        for item in kind.items:
            yield from ((value,) * max(kind.shortest, 1) for value in outside(item))
    elif kind.type is bool:
        yield from ("no", 1, 0)
    elif kind.choices:
        yield from ("no such choice", 3)
    elif kind.type is str:
        yield 3


CASES = [(cls, field) for cls in all_classes() for field in fields(cls) if field.init]
IDS = [f"{cls.__name__}.{field.name}" for cls, field in CASES]


@pytest.mark.parametrize(("cls", "field"), CASES, ids=IDS)
def test_what_is_outside_of_a_declaration_is_refused_by_name(cls, field):
    name, kinds = field.name, declared(cls)[field.name]
    annotation = get_type_hints(cls, include_extras=True)[name]
    given = {n: value for n, value in REQUIRED.get(cls.__name__, {}).items() if n in declared(cls)}
    cls(**given)
    wrong = [v for kind in kinds for v in outside(kind) if not any(one.admits(v) for one in kinds)]
    for value in wrong:
        with pytest.raises(InputError, match=rf"^{cls.__name__}: {name}(\[\d\])* must be .*, got "):
            cls(**{**given, name: value})
        with pytest.raises(ValidationError):
            TypeAdapter(annotation, config={"allow_inf_nan": False}).validate_python(value, strict=True)
    if kinds and field.default is not MISSING:
        assert any(kind.admits(field.default) for kind in kinds)
        TypeAdapter(annotation, config={"arbitrary_types_allowed": True}).validate_python(field.default)


def test_every_registered_attack_and_defence_declares_its_options():
    for table in (ATTACKS, DEFENCES, INVERSIONS):
        for name, made in table.items():
            assert isinstance(made, Options), name
            assert all(declared(type(made)).values()), name
    assert len(CASES) > 200


@dataclass(frozen=True)
class Sample(Options):
    share: Annotated[float, Ge(0), Lt(1)] = 0.1
    other: Annotated[float, Gt(0), Le(math.inf)] = 1.0
    mode: Literal["all", "wrong"] = "all"
    table: Annotated[str, OneOf("one", "two")] | None = None
    at: Annotated[str, MinLen(1)] | Annotated[int, Ge(0)] | Annotated[float, Ge(0), Le(1)] = 0.5
    sizes: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1), MaxLen(3)] = (3,)
    pair: tuple[Annotated[float, Ge(0), Lt(1)], Annotated[float, Ge(0), Lt(1)]] = (0.9, 0.99)
    pairs: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    anything: Any = None


ANYTHING = object()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 3}, "Sample: share must be a number of at least 0 and below 1, got 3"),
        ({"share": None}, "Sample: share must be a number of at least 0 and below 1, got None"),
        ({"other": -math.inf}, "Sample: other must be a number above 0 and up to inf, got -inf"),
        ({"mode": "wrog"}, "Sample: mode must be one of all, wrong, got 'wrog' (did you mean 'wrong'?)"),
        ({"table": 3}, "Sample: table must be one of one, two or None, got 3"),
        (
            {"at": True},
            "Sample: at must be a text with something in it or a whole number of at least 0 or a number from 0 to 1, "
            "got True",
        ),
        ({"sizes": [2, 0]}, "Sample: sizes[1] must be a whole number of at least 1, got 0"),
        ({"sizes": ()}, "Sample: sizes must be a list of 1 to 3 values, got ()"),
        ({"sizes": "ab"}, "Sample: sizes must be a list of 1 to 3 values, got 'ab'"),
        ({"pair": (0.5,)}, "Sample: pair must be a list of 2 values, got (0.5,)"),
        ({"pair": np.array([0.5, 2.0])}, "Sample: pair[1] must be a number of at least 0 and below 1, got 2.0"),
        ({"pairs": (("a",), "b")}, "Sample: pairs[1] must be a list, got 'b'"),
        ({"share": ANYTHING}, "Sample: share must be a number of at least 0 and below 1, got a object"),
        ({"share": 10**400}, "Sample: share must be a number of at least 0 and below 1, got 1000000000"),
    ],
    ids=lambda case: re.sub(r"object at 0x\w*", "object", str(case))[:40],
)  # fmt: skip
def test_one_sentence(options, message):
    with pytest.raises(InputError) as caught:
        Sample(**options)
    assert str(caught.value).startswith(message)


def test_values_are_made_plain():
    made = Sample(
        share=np.float32(0.5), other=math.inf, at=np.int64(3), sizes=[np.int64(2)], pair=np.array([0.0, 0.5]),
        pairs=[["a"], ["b", "c"]], anything=[1],
    )  # fmt: skip
    assert made == Sample(0.5, math.inf, "all", None, 3, (2,), (0.0, 0.5), (("a",), ("b", "c")), [1])
    assert [type(value) for value in (made.share, made.at, made.sizes[0], made.pair[0])] == [float, int, int, float]
    assert hash(Sample(sizes=[1, 2])) == hash(Sample(sizes=(1, 2)))


def test_pydantic_reads_the_same_declaration():
    adapter = TypeAdapter(Sample)
    assert adapter.validate_python({"share": 0.5, "table": "two", "sizes": [1, 2]}) == Sample(
        0.5, table="two", sizes=(1, 2)
    )
    for wrong in ({"share": 1.0}, {"table": "three"}, {"mode": "some"}, {"sizes": []}, {"pair": (1.0, 0.5)}):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)


def test_names_that_only_a_type_checker_knows_are_not_checked():
    @dataclass(frozen=True)
    class Own(Options):
        steps: "Unknown" = 3

    assert Own("some").steps == "some"


def test_the_module_costs_little():
    code = "import seepage.options, sys; print({'pydantic', 'torch', 'numpy'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
