"""Of limits: what choosing the best attack adds, and which gates failed."""

from seepage.attacks import resolve_attacks
from seepage.schema.comparison import Rates
from seepage.schema.ensemble import BestAttack, Ensemble
from seepage.studies.compare import findings
from seepage.studies.compare.protocol import attack_infos
from tests.report import example_results
from tests.studies.compare.made import FAMILIES, around, defence

RATES = Rates(fpr=0.01, fnr=0.01)


def test_limits_tell_the_largest_gain_of_choosing_and_the_failed_gates():
    base, odd = example_results.leak().model_copy(update={"gates": []}), example_results.invalid()

    def with_best(split, naive, fpr=0.01):
        parts = {"tpr": around(split), "naive_attack": "loss", "naive_tpr": around(naive)}
        best = BestAttack(fpr=fpr, chosen=["loss", "loss"], **parts)
        return base.model_copy(update={"ensemble": Ensemble.model_construct(best=[best])})

    infos = attack_infos(resolve_attacks(FAMILIES))
    rows = [defence("undefended"), defence("one")]
    audits = {"undefended": [with_best(0.10, 0.11)], "one": [with_best(0.10, 0.16), with_best(0.12, 0.14)]}
    text = " ".join(findings.limits(rows, audits, RATES, (0, 1), infos, True))
    assert "the TPR of 'one', where this matters most, is 11.0 % in place of 15.0 %" in text
    assert "failed a gate" not in text
    elsewhere = {"one": [with_best(0.1, 0.16, fpr=0.1)]}
    assert "in place of" not in " ".join(findings.limits(rows, elsewhere, RATES, (0,), infos, True))
    failed = " ".join(findings.limits(rows, {"one": [odd]}, RATES, (0,), infos, True))
    assert "failed a gate" in failed
    assert all(gate.name in failed for gate in odd.gates if gate.status == "fail")
    few = [odd.gates[0].model_copy(update={"name": "sample size", "status": "fail"})]
    alone = {"one": [base.model_copy(update={"gates": few})]}
    assert "failed a gate" not in " ".join(findings.limits(rows, alone, RATES, (0,), infos, True))
