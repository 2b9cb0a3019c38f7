"""Gates on the records: different on the two sides, each counted once, enough of them, chosen at random."""

import numpy as np
from jaxtyping import Bool

from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.gates.check import Check, failed, not_run, passed
from seepage.studies.settings import Settings

# Fewer records a side than this cannot carry a statement that nothing leaks.
FEWEST_RECORDS = 50
# A share of the records beyond this on both sides is no accident of duplicates.
MOST_OVERLAP = 0.05


def copies(evidence: Evidence) -> tuple[Bool[np.ndarray, " samples"], Bool[np.ndarray, " samples"]]:
    """Audited records that are left out because others are identical to them.

    Returns:
        twins: records with an identical twin which some target treats differently. Such a record is a member and a
            non-member at once; no attack can be judged on it.
        repeats: of the other copies, inputs and label (inputs where there are no labels), those that would count a
            record twice. Where some copies are twins, membership has split copies at random, and all copies go: those
            that happen to be on one side are more often on the larger one, so keeping them would make membership depend
            on the record.
    """
    twins, repeats = np.zeros((2, evidence.n_samples), dtype=bool)
    if evidence.records is None:
        return twins, repeats
    targets, audit = evidence.membership.targets, evidence.membership.audit
    together = []
    for group in evidence.records.duplicates():
        if (targets[group] != targets[group[0]]).any():
            twins[group] = True
        else:
            together.append(group[audit[group]])
    for group in together:
        first = [0] if evidence.labels is None else np.unique(evidence.labels[group], return_index=True)[1]
        repeats[group if twins.any() else np.delete(group, first)] = True
    return twins & audit, repeats


def overlap(evidence: Evidence, n_twins: int, n_repeats: int = 0) -> Check:
    name, question = "overlap", "Are members and non-members different records?"
    if evidence.records is None:
        return not_run(name, question, "no records were given", "audit with the records themselves")
    n = int(evidence.membership.audit.sum())
    if n_twins > MOST_OVERLAP * n:
        detail = f"{n_twins} of {n} audited records are on both sides"
        return failed(name, question, detail, "remove the records that are in both lists")
    detail = f"{n_twins} of {n} audited records have a twin on the other side and were left out" if n_twins else (
        "no record is on both sides"
    )  # fmt: skip
    if n_repeats:
        detail += f"; {n_repeats} copies of a record on its own side were left out too"
    return passed(name, question, detail)


def randomised(evidence: Evidence) -> Check:
    name, question = "randomised membership", "Was membership random, given everything else about the records?"
    origin = evidence.membership.origin
    if origin == "unknown":
        detail = "nobody said how the members were chosen, so a difference may have another cause than the training"
        way_out = "draw members at random and say so (membership 'declared'), or let the audit draw them"
        return not_run(name, question, detail, way_out)
    by = "drawn by this audit" if origin == "drawn" else "declared by the user"
    return passed(name, question, f"membership at random, {by}")


def sample_size(members: Bool[np.ndarray, "records targets"], settings: Settings) -> Check:
    name, question = "sample size", "Are there enough records for the rates asked for?"
    n_in, n_out = int(members.sum(axis=0).min()), int((~members).sum(axis=0).min())
    rates = sorted((rate for rate in settings.rates if rate > 0), reverse=True)
    undefined = [f"{rate:.3g}" for rate in rates if n_out * rate < 1]
    thin = [f"{rate:.3g}" for rate in rates if 1 <= n_out * rate < 10]
    detail = f"{n_in} members, {n_out} non-members"
    detail += f"; undefined at FPR {', '.join(undefined)}" if undefined else ""
    detail += f"; fewer than 10 false positives allowed at FPR {', '.join(thin)}" if thin else ""
    if min(n_in, n_out) < FEWEST_RECORDS:
        way_out = f"audit at least {FEWEST_RECORDS} records a side; 10 / FPR non-members for a given FPR"
        return failed(name, question, detail, way_out, guards="absence")
    return passed(name, question, detail)
