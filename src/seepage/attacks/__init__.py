"""Membership inference attacks by name.

A new attack is a file here, a line in `ATTACKS`, and a line in `BY_DEFAULT` if it adds something to those there.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from seepage.attacks.base import Attack
from seepage.attacks.calibration import DifficultyCalibration
from seepage.attacks.few_shot import LaplacianShot, SignalShot, SimpleShot, TransductiveTuning
from seepage.attacks.gradient_norm import GradientNorm
from seepage.attacks.label_only.augmentation import Augmentation, LearnedAugmentation
from seepage.attacks.label_only.boundary import BoundaryDistance
from seepage.attacks.label_only.label_regression import LabelRegression
from seepage.attacks.label_only.noise import NoiseRobustness
from seepage.attacks.learned.nasr import OutputsNetwork
from seepage.attacks.learned.rank_only import RankOnly
from seepage.attacks.learned.shadow_classifier import ShadowClassifier
from seepage.attacks.learned.top_k import TopScores
from seepage.attacks.lira import LiRA
from seepage.attacks.multi_signal_lira import MultiSignalLiRA
from seepage.attacks.objects import check_object, is_same, object_name
from seepage.attacks.per_class import ClassThreshold
from seepage.attacks.quantile import AttackP, AttackR
from seepage.attacks.rmia import RMIA
from seepage.attacks.threshold import GlobalThreshold
from seepage.attacks.trained.loss_trajectory import LossTrajectory
from seepage.attacks.trained.quantile_regression import QuantileRegression
from seepage.attacks.trained.sequence import MetricSequence
from seepage.attacks.trained.transfer import Transfer
from seepage.errors import InputError, unknown_name
from seepage.models.access import Access
from seepage.schema.saved import check_room

__all__ = [
    "ATTACKS",
    "BY_DEFAULT",
    "RMIA",
    "Attack",
    "AttackP",
    "AttackR",
    "Augmentation",
    "BoundaryDistance",
    "ClassThreshold",
    "DifficultyCalibration",
    "GlobalThreshold",
    "GradientNorm",
    "LabelRegression",
    "LaplacianShot",
    "LearnedAugmentation",
    "LiRA",
    "LossTrajectory",
    "MetricSequence",
    "MultiSignalLiRA",
    "NoiseRobustness",
    "OutputsNetwork",
    "QuantileRegression",
    "RankOnly",
    "ShadowClassifier",
    "SignalShot",
    "SimpleShot",
    "TopScores",
    "TransductiveTuning",
    "Transfer",
    "default_attacks",
    "find_attack",
    "needs",
    "resolve_attacks",
    "sides",
    "table",
    "titles",
]

ATTACKS: dict[str, Attack] = {
    "loss": GlobalThreshold("loss"),
    "confidence": GlobalThreshold("confidence"),
    "entropy": GlobalThreshold("entropy"),
    "max-probability": GlobalThreshold("max-probability"),
    "modified-entropy": GlobalThreshold("modified-entropy"),
    "correctness": GlobalThreshold("correctness"),
    "loss-per-class": ClassThreshold("loss"),
    "confidence-per-class": ClassThreshold("confidence"),
    "entropy-per-class": ClassThreshold("entropy"),
    "modified-entropy-per-class": ClassThreshold("modified-entropy"),
    "gradient-norm": GradientNorm(),
    "attack-p": AttackP(),
    "attack-r": AttackR(),
    "difficulty-calibration": DifficultyCalibration(),
    "lira-online": LiRA("online"),
    "lira-online-fixed-variance": LiRA("online", variance="residual"),
    "lira-online-fixed-variance-official": LiRA("online", variance="official"),
    "lira-offline": LiRA("offline"),
    "lira-offline-fixed-variance": LiRA("offline", variance="residual"),
    "lira-offline-official": LiRA("offline", side="two"),
    "lira-offline-fixed-variance-official": LiRA("offline", side="two", variance="official"),
    "rmia-online": RMIA("online"),
    "rmia-offline": RMIA("offline"),
    "rmia-online-official": RMIA("online", gamma=2.0, signal="taylor-softmax", queries="majority"),
    "lira-multi-signal-online": MultiSignalLiRA("online"),
    "lira-multi-signal-offline": MultiSignalLiRA("offline"),
    "shokri": ShadowClassifier(),
    "shokri-global": ShadowClassifier(per_class=False),
    "salem-top-3": TopScores(),
    "nasr": OutputsNetwork(),
    "nasr-known": OutputsNetwork("known"),
    "nasr-per-class": OutputsNetwork(per_class=True),
    "rank-only": RankOnly(),
    "augmentation": Augmentation(),
    "augmentation-learned": LearnedAugmentation(),
    "label-only-aerni": LabelRegression(),
    "noise": NoiseRobustness(),
    "boundary": BoundaryDistance(),
    "transfer": Transfer(),
    "quantile-gaussian": QuantileRegression("gaussian"),
    "quantile-pinball": QuantileRegression("pinball"),
    "loss-trajectory": LossTrajectory(),
    "sequence": MetricSequence(),
    "fes-mia-ss": SignalShot(),
    "fes-mia-ss-1-shot": SignalShot(1),
    "fes-mia-ss-5-shot": SignalShot(5),
    "fes-mia-ss-10-shot": SignalShot(10),
    "fes-mia-ss-label-free": SignalShot(labels=False),
    "fes-mia-ss-gradients": SignalShot(gradients=True),
    "fes-mia-ss-gradients-label-free": SignalShot(labels=False, gradients=True),
    "fes-mia-ss-outputs": SimpleShot(5, space="outputs"),
    "fes-mia-ss-published": SimpleShot(5),
    "fes-mia-ss-official": SimpleShot(5, "official"),
    "fes-mia-ls-outputs": LaplacianShot(5, space="outputs"),
    "fes-mia-ls-published": LaplacianShot(5),
    "fes-mia-ls-official": LaplacianShot(5, "official"),
    "fes-mia-tt-1-shot": TransductiveTuning(1),
    "fes-mia-tt-5-shot": TransductiveTuning(5),
    "fes-mia-tt-10-shot": TransductiveTuning(10),
    "fes-mia-tt-published": TransductiveTuning(5, head="logits"),
    "fes-mia-tt-official": TransductiveTuning(5, "official"),
}

# Every further attack costs power, for all are corrected together. Left out: what orders records as another attack
# here does (confidence and attack-p, as the loss), the weaker per-class forms, what was at chance wherever we
# measured it (few-shot learners as published, transfer), and the variants that exist to reproduce published figures.
# The few-shot forms do order records as loss and entropy do: they are here for what they decide.
BY_DEFAULT = (
    "loss",
    "entropy",
    "modified-entropy",
    "correctness",
    "modified-entropy-per-class",
    "gradient-norm",
    "attack-r",
    "difficulty-calibration",
    "lira-online",
    "lira-online-fixed-variance",
    "lira-offline",
    "lira-offline-fixed-variance",
    "rmia-online",
    "rmia-offline",
    "label-only-aerni",
    "fes-mia-ss",
    "fes-mia-ss-label-free",
)

# Beside them where records have no labels: what adds nothing to the loss there is the strongest that is left.
WITHOUT_LABELS = ("max-probability", "salem-top-3")


def needs(attack: Attack) -> list[str]:
    """What an attack needs beside the target's answers: labels, references, population, known records and so on."""
    return sorted({"references" if need.endswith("-references") else need for need in attack.needs})


def sides(attack: Attack) -> str | None:
    """Which references an attack needs: "in and out" of them for each record, "out" alone, or none."""
    if "in-references" in attack.needs:
        return "in and out"
    return "out" if "out-references" in attack.needs else None


def find_attack(name: str) -> Attack:
    """The attack registered under `name`.

    Raises:
        InputError: there is none; the message names the closest.
    """
    if name not in ATTACKS:
        raise unknown_name("attack", name, ATTACKS)
    return ATTACKS[name]


def resolve_attacks(attacks: Iterable[str | Attack] | None) -> dict[str, Attack]:
    """The attacks that a user asks for, each once and by name: registered names and objects, mixed.

    An object that equals a registered attack has its name, any other that of `objects.object_name`.

    Raises:
        InputError: an unknown name, something that is no attack, or no list.

    >>> list(resolve_attacks(["loss", LiRA(), LiRA("offline", centre="mean"), "lira-online"]))
    ['loss', 'lira-online', "LiRA(mode='offline', centre='mean')"]
    """
    if attacks is None:
        return {}
    if isinstance(attacks, (str, Attack)) or not isinstance(attacks, Iterable):
        inside = repr(attacks) if isinstance(attacks, (str, Attack)) else "'loss', LiRA('offline')"
        raise InputError(f"attacks: expected a list of names and objects, got {attacks!r}: write attacks=[{inside}]")
    chosen: dict[str, Attack] = {}
    for each in attacks:
        attack = find_attack(each) if isinstance(each, str) else check_object(each)
        if any(is_same(attack, other) for other in chosen.values()):
            continue
        registered = (name for name, other in ATTACKS.items() if is_same(attack, other))
        chosen[next(registered, None) or object_name(attack, taken=chosen)] = attack
    check_room(attacks=len(chosen))
    return chosen


def titles(attacks: Mapping[str, Attack]) -> dict[str, str]:
    """The attacks' titles, all different: an object whose title another attack has is told from it by its name."""
    counts = Counter(attack.title for attack in attacks.values())
    return {
        name: attack.title if name in ATTACKS or counts[attack.title] == 1 else f"{attack.title}: {name}"
        for name, attack in attacks.items()
    }


def default_attacks(
    available: Collection[str], access: Access | str, n_references: int = 2, n_known: int = 0
) -> list[str]:
    """The names in `BY_DEFAULT` that can run on what is at hand; without labels those in `WITHOUT_LABELS` too.

    Args:
        available: what there is of the keys of `NEEDS` (`View.available`).
        access: the target's access level.
        n_references: how many references most records have on each side.
        n_known: how many members, and as many non-members, the attacker knows.

    >>> default_attacks({"labels"}, "probabilities")
    ['loss', 'entropy', 'modified-entropy', 'correctness']
    >>> default_attacks(set(), "probabilities")
    ['entropy', 'max-probability']
    """
    level, at_hand = Access.of(access), set(available)

    def fits(attack: Attack) -> bool:
        enough = attack.least_references <= n_references and attack.least_known <= n_known
        return enough and attack.access <= level and attack.needs <= at_hand

    names = BY_DEFAULT if "labels" in at_hand else (*BY_DEFAULT, *WITHOUT_LABELS)
    return [name for name in names if fits(ATTACKS[name])]


def table() -> list[dict[str, str | bool | list[str] | None]]:
    """All attacks as data.

    name, title, access; needs (labels, references and the other keys of `NEEDS`) and, where references are needed, on
    which side of their training sets a record must be; source; whether the attack runs by default.
    """
    return [
        {
            "name": name,
            "title": attack.title,
            "access": str(attack.access),
            "needs": needs(attack),
            "references": sides(attack),
            "source": attack.source,
            "default": name in BY_DEFAULT,
        }
        for name, attack in ATTACKS.items()
    ]
