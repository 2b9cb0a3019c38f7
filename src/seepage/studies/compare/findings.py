"""What the figures say, in sentences: who protects at what accuracy, and who only moves the scores."""

from __future__ import annotations

from collections.abc import Sequence

from seepage.schema.audit import AuditResult
from seepage.schema.comparison import AttackInfo, DefenceResult, Leak, Rates, Worst
from seepage.schema.estimates import Estimate
from seepage.schema.numbers import decimal, interval_of, listed, percent, rate

GRADED = ("scores", "references")
BLIND_TO_VALUES = ("label-only", "rank-only")
YARDSTICK = "dp-sgd"
FEW_RECORDS = "sample size"  # a gate that fails where the least rates lack records, which each figure's flag says


def headline(defences: Sequence[DefenceResult], matched: Sequence[str], rates: Rates, floor: float | None) -> str:
    """The one sentence that a reader should take away."""
    plain, others = defences[0], defences[1:]
    figure = _figure(defences)
    among = [one for one in others if one.name in matched] if floor is not None else list(others)
    reduced = sorted((one for one in among if is_below(one, plain, figure)), key=lambda one: _worst(one, figure).value)
    told = f"{_what(figure, rates)} is {_told(_worst(plain, figure), figure)} without a defence"
    company = "defence" if len(others) == 1 else "defences"
    if floor is None:
        scope = f"Of {len(others)} {company}, at any accuracy, {_number(len(reduced))} clearly reduce{_s(reduced)} it"
    else:
        scope = (
            f"{_number(len(among), capital=True)} of {len(others)} {company} keep{_s(among)} the accuracy "
            f"(at most {_points(floor)} less), and {_number(len(reduced))} of these clearly reduce{_s(reduced)} it"
        )
    best = f": '{reduced[0].name}' most, to {_told(_worst(reduced[0], figure), figure)}" if reduced else ""
    return f"{told}. {scope}{best}."


def conclusions(
    defences: Sequence[DefenceResult],
    matched: Sequence[str],
    rates: Rates,
    floor: float | None,
) -> list[str]:
    """Plain sentences, each made from the numbers that it names. Clear means that the intervals do not overlap."""
    plain, figure = defences[0], _figure(defences)
    told = [_against_undefended(one, plain, figure, rates, one.name in matched, floor) for one in defences[1:]]
    told += filter(None, (only_moves_scores(one, plain) for one in defences[1:]))
    told += filter(None, (_blind_attack_wins(one) for one in defences[1:]))
    told += _beside_yardstick(defences, matched, figure, rates)
    told += filter(None, map(_on_canaries, defences))
    return told


def limits(
    defences: Sequence[DefenceResult],
    audits: dict[str, list[AuditResult]],
    rates: Rates,
    seeds: Sequence[int],
    infos: Sequence[AttackInfo],
    every_model: bool,
) -> list[str]:
    """What this comparison does not say."""
    told = [
        "The attacker knows the defence: references are trained with the same recipe and answer through the same "
        "wrapper. An attacker who does not may find less.",
        _on_seeds(len(seeds), every_model),
        "The strongest attack is chosen on the records it is told of, and the maximum of noisy figures is too large."
        + _optimism(audits, rates.fpr),
    ]
    families = {info.family for info in infos}
    if lacking := [family for family in BLIND_TO_VALUES if family not in families]:
        told.append(
            f"No {listed(lacking)} attack was run: a defence that only moves the scores cannot be told from one that "
            "protects."
        )
    if not any(one.canaries for one in defences):
        told.append(
            "The rates are averages over ordinary records. The records that leak most leak far more, and defences that "
            "look alike on the average differ on them: plant canaries."
        )
    if searched := [one for one in defences if one.setting == "searched"]:
        n = min(point.validation_accuracy.n for one in searched for point in one.tuning)
        told.append(
            f"A searched setting rests on one model each and on {n:,} validation records: settings whose accuracies "
            "lie within each other's intervals are not told apart. A recipe that chooses its epoch on the same records "
            "looks a little too accurate there."
        )
    if failed := _failed_gates(audits):
        told.append("These audits failed a gate, and their figures may mean something else: " + "; ".join(failed) + ".")
    if any(one.epsilon_claimed is not None for one in defences):
        told.append("An epsilon that is claimed follows from the training, not from these attacks.")
    return told


def is_below(one: DefenceResult, plain: DefenceResult, figure: str) -> bool:
    """Whether the worst of a figure is less than the undefended model's, their intervals apart."""
    return _apart(_worst(one, figure), _worst(plain, figure))


def only_moves_scores(one: DefenceResult, plain: DefenceResult) -> str | None:
    """The sentence for a defence against which attacks on values clearly fall while some that see none do not."""
    if not _falls(one, plain, GRADED):
        return None
    stays = [
        family
        for family in BLIND_TO_VALUES
        if family in one.by_family and family in plain.by_family and not _falls(one, plain, (family,))
    ]
    if not stays:
        return None
    graded = [_largest(of, GRADED).estimate for of in (plain, one)]
    kept = [
        f"{family} {decimal(plain.by_family[family].auc.estimate.value)} to {_auc(one.by_family[family])}"
        for family in stays
    ]
    return (
        f"'{one.name}' moves the scores: the AUC of attacks on them falls from {decimal(graded[0].value)} to "
        f"{decimal(graded[1].value)} {interval_of(graded[1])}, and not clearly that of attacks that never see a value "
        f"({listed(kept)})."
    )


def _blind_attack_wins(one: DefenceResult) -> str | None:
    graded = _largest(one, GRADED)
    if graded is None:
        return None
    for family in BLIND_TO_VALUES:
        if family in one.by_family and _apart(graded.estimate, one.by_family[family].auc.estimate):
            worst = one.by_family[family].auc
            return (
                f"Against '{one.name}' a {family} attack ('{worst.attack}', AUC {_auc(one.by_family[family])}) finds "
                f"clearly more than any on the scores (AUC {decimal(graded.estimate.value)} "
                f"{interval_of(graded.estimate)}): an audit by scores alone would have called it safer than it is."
            )
    return None


def _against_undefended(
    one: DefenceResult, plain: DefenceResult, figure: str, rates: Rates, is_matched: bool, floor: float | None
) -> str:
    before, after = _worst(plain, figure), _worst(one, figure)
    if before.value is None or after.value is None:
        change = f"{_what(figure, rates)} is undefined here"
    else:
        verb = "clearly falls" if _apart(after, before) else "clearly rises" if _apart(before, after) else "goes"
        unsure = " (the intervals overlap)" if verb == "goes" else ""
        change = f"{_what(figure, rates)} {verb} from {_value(before, figure)} to {_told(after, figure)}{unsure}"
    accuracies = [of.utility.test_accuracy.value for of in (plain, one)]
    cost = f"test accuracy from {percent(accuracies[0])} to {percent(accuracies[1])}"
    if floor is not None:
        cost += ", within the floor" if is_matched else f", more than {_points(floor)} less"
    if one.reached_floor is False:
        cost += "; no setting that was tried reaches the floor on validation records"
    return f"'{one.name}': {change}; {cost}."


def _beside_yardstick(
    defences: Sequence[DefenceResult], matched: Sequence[str], figure: str, rates: Rates
) -> list[str]:
    """Which defences of about the same utility leak clearly less, or more, than noise with a guarantee."""
    there = {one.name: one for one in defences}
    yardstick = next((one for name, one in there.items() if name in matched and _is_yardstick(one)), None)
    if yardstick is None:
        return []
    others = [there[name] for name in matched if there[name].kind != "none" and not _is_yardstick(there[name])]
    of = _worst(yardstick, figure)
    less = [f"'{one.name}'" for one in others if _apart(_worst(one, figure), of)]
    more = [f"'{one.name}'" for one in others if _apart(of, _worst(one, figure))]
    return [
        f"At about the same accuracy DP-SGD ('{yardstick.name}') leaves {_told(of, figure)} "
        f"({_what(figure, rates, capital=False)}); clearly less: {listed(less) or 'none'}; clearly more: "
        f"{listed(more) or 'none'}."
    ]


def _on_canaries(one: DefenceResult) -> str | None:
    found = one.canaries
    if found is None or found.worst.attack is None:
        return None
    return (
        f"'{one.name}', {found.kind} canaries: '{found.worst.attack}' finds "
        f"{percent(found.worst.estimate.value)} {interval_of(found.worst.estimate, as_rate=True)} of them at FPR "
        f"{rate(found.fpr)}."
    )


def _on_seeds(count: int, every_model: bool) -> str:
    over = "models and records" if every_model else "records"
    if count == 1:
        more = "" if every_model else " and other weights"
        return f"One seed: intervals are over {over}. Another draw of members{more} may turn small differences."
    few = " Two seeds say little of the spread between seeds, and so the intervals are very wide." if count == 2 else ""
    return (
        f"Intervals join the spread between {count} seeds (other members, other weights; Student's t) and the audits' "
        f"own, over {over}. They are of each defence by itself: members are drawn alike for all, and so a difference "
        f"is known better than two intervals show.{few}"
    )


def _optimism(audits: dict[str, list[AuditResult]], fpr: float) -> str:
    """How much the choice of the best attack adds, at most over the defences: chosen on half, judged on the other."""
    gains = {}
    for name, results in audits.items():
        rows = [best for result in results if result.ensemble for best in result.ensemble.best if best.fpr == fpr]
        pairs = [(row.naive_tpr.value, row.tpr.value) for row in rows]
        if pairs and all(None not in pair for pair in pairs):
            gains[name] = tuple(sum(side) / len(pairs) for side in zip(*pairs, strict=True))
    if not gains:
        return ""
    name = max(gains, key=lambda name: gains[name][0] - gains[name][1])
    naive, split = gains[name]
    return (
        f" Chosen on one half of the records and judged on the other, the TPR of '{name}', where this matters most, is "
        f"{percent(split)} in place of {percent(naive)}."
    )


def _failed_gates(audits: dict[str, list[AuditResult]]) -> list[str]:
    told = []
    for name, results in audits.items():
        gates = [gate for result in results for gate in result.gates]
        failed = dict.fromkeys(gate.name for gate in gates if gate.status == "fail" and gate.name != FEW_RECORDS)
        if failed:
            told.append(f"'{name}' ({', '.join(failed)})")
    return told


def _figure(defences: Sequence[DefenceResult]) -> str:
    """The TPR, where it is defined for all; else the AUC."""
    return "tpr" if all(_worst(one, "tpr").value is not None for one in defences) else "auc"


def _worst(one: DefenceResult, figure: str) -> Estimate:
    return getattr(one.worst, figure).estimate


def _largest(one: DefenceResult, families: Sequence[str]) -> Worst | None:
    """The largest AUC of these families."""
    worst = [one.by_family[family].auc for family in families if family in one.by_family]
    defined = [each for each in worst if each.estimate.value is not None]
    return max(defined, key=lambda each: each.estimate.value, default=None)


def _falls(one: DefenceResult, plain: DefenceResult, families: Sequence[str]) -> bool:
    after, before = (_largest(of, families) for of in (one, plain))
    return after is not None and before is not None and _apart(after.estimate, before.estimate)


def _apart(lower: Estimate, higher: Estimate) -> bool:
    return lower.high is not None and higher.low is not None and lower.high < higher.low


def _auc(leak: Leak) -> str:
    return f"{decimal(leak.auc.estimate.value)} {interval_of(leak.auc.estimate)}".strip()


def _is_yardstick(one: DefenceResult) -> bool:
    return one.epsilon_claimed is not None or one.name.startswith(YARDSTICK)


def _what(figure: str, rates: Rates, *, capital: bool = True) -> str:
    text = f"the strongest attack's TPR at FPR {rate(rates.fpr)}" if figure == "tpr" else "the strongest attack's AUC"
    return text[0].upper() + text[1:] if capital else text


def _value(estimate: Estimate, figure: str) -> str:
    return percent(estimate.value) if figure == "tpr" else decimal(estimate.value)


def _told(estimate: Estimate, figure: str) -> str:
    return f"{_value(estimate, figure)} {interval_of(estimate, as_rate=figure == 'tpr')}".strip()


def _points(floor: float) -> str:
    return f"{100 * floor:.4g} point{'' if floor == 0.01 else 's'}"


def _number(count: int, *, capital: bool = False) -> str:
    text = str(count) if count else "none"
    return text.capitalize() if capital else text


def _s(things: Sequence) -> str:
    return "s" if len(things) <= 1 else ""
