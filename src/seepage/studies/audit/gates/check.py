"""A gate: a check that must hold before an audit may claim anything, and what falls with it."""

from dataclasses import dataclass

from seepage.schema.audit import Gate

# Each gate fires at a level so strict that it throws a sound audit away at most once in a thousand times.
GATE_LEVEL = 1e-3
# Five gates ask whether the set-up can be right: direction, answers and labels, scale, models and columns, references
# like the target. Together they have one level.
SET_UP_LEVEL = GATE_LEVEL / 5

NO_LABELS = "not checked: the records have no labels"
GIVE_LABELS = "audit the records with their labels"


@dataclass(frozen=True)
class Check:
    """A gate, and what falls with it.

    A failed gate that guards "both" claims makes the audit INVALID. One that guards "absence" leaves a found leak
    standing, but turns "no evidence" into INCONCLUSIVE. One that casts "doubt" on the set-up does the latter too, and
    makes a found leak INVALID.
    """

    gate: Gate
    guards: str = "both"

    @property
    def failed(self) -> bool:
        return self.gate.status == "fail"


def passed(name: str, question: str, detail: str) -> Check:
    return Check(Gate(name=name, question=question, status="pass", detail=detail))


def failed(name: str, question: str, detail: str, way_out: str, *, guards: str = "both") -> Check:
    return Check(Gate(name=name, question=question, status="fail", detail=detail, way_out=way_out), guards)


def not_run(name: str, question: str, detail: str, way_out: str) -> Check:
    return Check(Gate(name=name, question=question, status="not run", detail=detail, way_out=way_out))
