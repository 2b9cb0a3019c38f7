"""A pair of trained networks, all that the two are asked about, and what every variant of them answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seepage.defences.laplace import noise_like
from seepage.schema import trust as report
from seepage.signals.collect import Collection
from seepage.studies.compare.shadow import measures, scaling
from seepage.studies.compare.shadow.answers import Features, Held, Network, Variant, answer_as
from seepage.studies.compare.shadow.attackers import MEMBERS, Answers, Evidence
from seepage.studies.compare.shadow.threats import fit_threats
from seepage.studies.compare.shadow.world import ShadowStudy, World

TARGET, SHADOW = 0, 1
SIDES = ("target", "shadow")
KNOWN = "known {} of {}"


@dataclass(frozen=True, eq=False)
class Judging:
    """A pair of trained networks, and the features of all records that they are asked about.

    Attributes:
        networks, held: target, shadow.
        asked: group of records -> features at the target and at the shadow. Groups are the target's `MEMBERS`, each
            set of non-members, "shadow" (its own records, members first), "population", and known records.
        labels: group -> what is claimed; None where the target's prediction is.
    """

    networks: tuple[Network, Network]
    held: tuple[Held, Held]
    asked: Mapping[str, tuple[Features, Features]]
    labels: Mapping[str, np.ndarray | None]
    target_test: Features
    rays: list[Features]

    @classmethod
    def of(cls, collection: Collection, world: World, choices: ShadowStudy, rng: np.random.Generator) -> Judging:
        networks = tuple(Network.of(collection.modules[model]) for model in (TARGET, SHADOW))
        held = []
        for side, network in zip(SIDES, networks, strict=True):
            validation = world.parts[f"{side} validation"]
            inputs = world.pool.batch(world.parts[f"{side} train"])
            noise = noise_like(inputs, len(validation), rng=rng)
            held.append(
                Held(
                    network.features(inputs),
                    network.features(world.pool.batch(validation)),
                    world.pool.labels[validation],
                    network.features(noise),
                )
            )
        target = networks[TARGET]
        scaled = world.sets[0].inputs[: choices.ray_records]
        groups = {name: (world.pool.batch(rows), world.pool.labels[rows]) for name, rows in _rows(world)}
        groups |= {one.name: (one.inputs, one.labels) for one in world.sets}
        return cls(
            networks,
            tuple(held),
            {name: tuple(network.features(inputs) for network in networks) for name, (inputs, _) in groups.items()},
            {name: labels for name, (_, labels) in groups.items()},
            target.features(world.pool.batch(world.parts["target test"])),
            scaling.features_along(target.features, scaled, choices.doublings) if choices.doublings else [],
        )

    def variant(
        self,
        variant: Variant,
        attacks: tuple[str, ...],
        world: World,
        choices: ShadowStudy,
        terms: measures.Terms,
        *,
        rng: np.random.Generator,
    ) -> tuple[report.VariantResult, report.Ray | None]:
        """Everything about one variant of these networks."""
        confidence, wrapper = terms.confidence, variant.recipe.wrapper
        answers, options = zip(
            *(answer_as(wrapper, n, h, rng=rng) for n, h in zip(self.networks, self.held, strict=True)), strict=True
        )
        of_target = answers[TARGET]
        evidence = self.evidence(answers, world)
        threats = fit_threats(evidence.shadow.shadow, evidence.shadow_members, rng=rng)
        labels = {part: world.pool.labels[world.parts[part]] for part in ("target train", "target test")}
        test = of_target(self.target_test)
        result = report.VariantResult(
            name=variant.name,
            title=variant.title,
            about=variant.about,
            options={
                **variant.options,
                **options[TARGET],
                **{f"{option}, shadow": v for option, v in options[SHADOW].items() if v != options[TARGET][option]},
            },
            train_accuracy=measures.accuracy(of_target(self.held[TARGET].training), labels["target train"], confidence),
            test_accuracy=measures.accuracy(test, labels["target test"], confidence),
            **measures.calibration(test, labels["target test"], confidence=confidence, rng=rng),
            attacks=[
                *(measures.threat_result(threat, evidence, terms, rng=rng) for threat in threats),
                *(measures.registered_result(attack, evidence, terms, rng=rng) for attack in attacks),
            ],
        )
        if not self.rays:
            return result, None
        log_odds = scaling.log_odds_along(of_target, self.rays)
        called = scaling.first_alarm(log_odds, threats[0].threshold)
        return result, report.Ray(
            variant=variant.name,
            n=log_odds.shape[1],
            doublings=list(range(len(log_odds))),
            called=[(measures.proportion(row, confidence=confidence)) for row in called],
            max_score=[float(np.mean(1 / (1 + np.exp(-np.clip(row, -500, 500))))) for row in log_odds],
        )

    def evidence(self, answers, world: World) -> Evidence:
        """What target and shadow answer in one way about every group."""
        found = {}
        for name, features in self.asked.items():
            log_p = [answer(of) for answer, of in zip(answers, features, strict=True)]
            claimed = self.labels[name]
            found[name] = Answers(*log_p, log_p[TARGET].argmax(axis=1) if claimed is None else claimed)
        known = [tuple(found[KNOWN.format(kind, side)] for kind in ("members", "others")) for side in SIDES]
        judged = {name: found[name] for name in (MEMBERS, *(one.name for one in world.sets))}
        shadow_members = np.arange(len(found["shadow"])) < world.evaluated
        return Evidence(judged, found["shadow"], shadow_members, found["population"], *known)


def _rows(world: World) -> list[tuple[str, np.ndarray]]:
    """The groups that are parts of the records; none of them is in two, and what is known or population is not judged.

    Known and population records are those on which temperatures and prior variances are fitted.
    """
    parts, n, k = world.parts, world.evaluated, world.n_known
    groups = [(MEMBERS, parts["target train"][:n])]
    groups += [("shadow", np.concatenate([parts["shadow train"][:n], parts["shadow test"][:n]]))]
    rest = []
    for side in SIDES:
        validation = parts[f"{side} validation"]
        groups += [(KNOWN.format("members", side), parts[f"{side} train"][n : n + k])]
        groups += [(KNOWN.format("others", side), validation[:k])]
        rest.append(validation[k:])
    return [*groups, ("population", np.concatenate(rest))]
