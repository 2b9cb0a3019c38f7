"""The fixed sentences of an audit: what a verdict, a term or a missing attack means to someone who must act on it."""

from dataclasses import dataclass

from seepage.schema.audit import AuditResult
from seepage.schema.numbers import decimal, percent, rate


@dataclass(frozen=True)
class Verdict:
    means: str
    does_not_mean: str


VERDICTS = {
    "LEAK SHOWN": Verdict(
        "Someone with the access of the leading attack can tell some of this model's training records from records "
        "that it never saw, more surely than chance explains.",
        "It does not mean that every record is exposed, nor that a record's content can be read out of the model. "
        "It is a floor, not a ceiling: a stronger attack may find more.",
    ),
    "NO EVIDENCE": Verdict(
        "No attack told training records from other records more surely than chance explains.",
        "It does not mean that the model is private. A leak smaller than the one named here, an attack that was not "
        "run, or records that were not audited could still give members away.",
    ),
    "INCONCLUSIVE": Verdict(
        "This audit could not decide whether the model leaks. The reasons follow, and the gates name a way out.",
        "It means neither that the model leaks nor that it does not. The figures below describe this run; "
        "they support no claim.",
    ),
    "INVALID": Verdict(
        "A check failed on which every claim rests. The figures below are kept to find the cause; do not quote them.",
        "It means neither that the model leaks nor that it does not: the set-up cannot tell. "
        "Mend what the failed gate names, then audit again.",
    ),
}

MEMBERSHIP = {
    "drawn": "drawn at random by Seepage",
    "declared": "declared by the user",
    "unknown": "unknown how it came about",
}

ACCESS = {
    "label": "the predicted class only",
    "probabilities": "the class probabilities",
    "logits": "the logits",
    "gradients": "gradients of the loss",
    "weights": "the weights",
}

NEEDS = {
    "labels": "the records' labels",
    "in-references": "reference models with and without the record",
    "out-references": "reference models without the record",
    "references": "reference models",
    "population": "a population of known non-members",
    "queries": "several queries per record",
    "gradients": "gradients",
    "known": "some records whose membership is known",
    "records": "the records themselves",
    "features": "features inside the target",
    "model": "a live target to ask",
}

TERMS = [
    ("Member", "a record that the audited model was trained on. A non-member is a comparable record that it was not."),
    ("AUC", "how often a random member scores above a random non-member. 0.5 is guessing, 1 is certainty. It averages "
     "over all thresholds, so it can look harmless while a few records are fully exposed."),
    ("FPR, TPR", "false- and true-positive rate: of the non-members, the share wrongly named; of the members, the "
     "share found. An accusation counts when few are false, so TPR is read at a low FPR. Guessing gives TPR = FPR."),
    ("FNR, TNR", "the same from the other side: the share of non-members that can be ruled out while at most a share "
     "FNR of the members is ruled out wrongly."),
    ("Balanced accuracy", "mean of TPR and TNR at one threshold; 0.5 is guessing. Advantage is TPR - FPR there."),
    ("Log-MIA", "ln(TP + 1) / ln(P + 1) among P members: A allows no false positive, B at most ln d among d records. "
     "Guessing does not give 0, so its value stands beside each, and a value with chance taken off: "
     "(L - chance) / (1 - chance). The words are Seepage's own, not the source's."),
    ("PPV", "positive predictive value: of the records named, the share that are members, at a declared prior."),
    ("Epsilon", "a lower bound shows that the training cannot be differentially private with a smaller epsilon. It "
     "needs randomised membership. Without that the same formula is a heuristic and bounds nothing."),
    ("p (Holm)", "the probability of a result as strong as this with no leak at all, corrected for all attacks run."),
    ("Reference model", "a model trained like the audited one on other draws of the records; also called a shadow "
     "model. It shows how a record scores that was trained on, and one that was not."),
    ("Conformal p, q", "for one record: the share of non-members that score at least as high; and the share of "
     "false alarms to expect among all records listed down to this one."),
    ("[low, high]", "the interval of a number; n is the count that it rests on. A dash is an undefined number, "
     "and its note says why."),
]  # fmt: skip

RETEST = (
    "when the model, its training data, its recipe or what it answers changes, and when a stronger attack is published"
)


def attacks_not_run(result: AuditResult) -> list[tuple[str, str]]:
    """Kinds of attack that this audit leaves untested, as (kind, what stays unknown)."""
    needs = {need for attack in result.attacks for need in attack.needs}
    levels = {attack.access for attack in result.attacks}
    missing = []
    if not result.labelled:
        missing.append(
            (
                "membership inference with labels (loss, gradient norm, LiRA, RMIA)",
                "what an attacker finds who knows each record's label; mostly more than one who does not",
            )
        )
    if not any("references" in need for need in needs):
        missing.append(
            (
                "membership inference with reference models (LiRA, RMIA)",
                "the strongest known; a clean result without them is weak",
            )
        )
    if "label" not in levels:
        missing.append(("label-only membership inference", "what an attacker sees who gets no probabilities"))
    if not levels & {"gradients", "weights"}:
        missing.append(("white-box membership inference", "what gradients or weights add, if the model is handed out"))
    return [
        *missing,
        ("model inversion and reconstruction", "whether a class or a person can be pictured from the model"),
        ("attribute inference", "whether an unknown field of a known record can be filled in"),
        ("extraction and regurgitation", "whether training records come out word for word; mostly generative models"),
        ("property inference", "what the model says about its training set as a whole"),
        ("poisoning-assisted inference", "what an attacker gains who can add training records"),
    ]


def claim(result: AuditResult) -> str:
    """Whether a difference between the sides comes from training, and why that may be said."""
    if result.claim == "association":
        return (
            "Nothing shows that membership was random, so a difference between members and non-members may lie in the "
            "records themselves: an association, not proof that training caused it."
        )
    why = f"Membership was {'drawn at' if result.provenance.membership == 'drawn' else 'declared'} random"
    if result.verdict in ("INVALID", "INCONCLUSIVE"):
        return f"{why}. In a sound set-up a difference between members and non-members would come from training."
    return f"{why} and no gate speaks against it, so a difference between members and non-members comes from training."


def bound(result: AuditResult) -> str:
    """The lower bound of a shown leak, or else the smallest leak that this audit would have found."""
    lower, smallest = result.lower_bound, result.smallest_detectable
    if result.verdict == "INVALID":
        return "An audit that is not sound bounds nothing, from below or from above."
    if lower is None:
        who = "a sound audit of this size" if result.verdict == "INCONCLUSIVE" else "this audit"
        return (
            f"The smallest leak that {who} finds in {rate(smallest.power)} of runs: AUC {decimal(smallest.auc)}, "
            f"or a TPR of {percent(smallest.tpr)} at FPR {rate(smallest.fpr)}."
        )
    # A bound no better than guessing bounds nothing: the test may have found what this number does not measure.
    floors = [f"the AUC is at least {decimal(lower.auc)} (guessing: 0.5)"] if lower.auc > 0.5 else []
    if lower.fpr is not None and lower.tpr is not None and lower.tpr > lower.fpr:
        floors.append(f"the TPR at FPR {rate(lower.fpr)} at least {percent(lower.tpr)}")
    if not floors:
        return "The leak is significant, but its size is not bounded: no interval here excludes guessing."
    return f"With {rate(lower.confidence)} confidence {' and '.join(floors)}."


def in_persons(result: AuditResult) -> str | None:
    """The lower bound as natural frequencies, which readers judge better than rates."""
    lower = result.lower_bound
    if lower is None or lower.fpr is None or lower.tpr is None or lower.tpr <= lower.fpr:
        return None
    wrong = "none of the" if lower.fpr == 0 else _of_many(lower.fpr)
    return (
        f"Put in records: the attacker names at least {_of_many(lower.tpr)} members, and wrongly {wrong} non-members."
    )


def _of_many(rate: float) -> str:
    total = 1_000 if rate >= 0.001 else 100_000
    return f"{rate * total:.0f} of every {total:,}"
