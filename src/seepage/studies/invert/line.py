"""The pieces of a study, each made once and kept: targets, judges, priors, reconstructions, baselines.

    run/units/KEY.safetensors    weights of a target or judge; images of a class by an attack; of baselines, ceilings
    run/priors/KEY/              the state of a prior's training

A key names everything that a piece depends on, so that a study that was stopped goes on, and one to which an attack or
a target is added makes only what is new. Images depend on no judge: with another one they are judged again, not made.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seepage.inversion.base import Attempt, Budget, Inversion, Report, silent
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors import PriorOptions, make_prior
from seepage.inversion.priors.base import Prior
from seepage.models.access import Access
from seepage.models.held_out import HeldOut
from seepage.models.module import Module
from seepage.models.recipe import Recipe
from seepage.models.train import train_models
from seepage.runs.store import Store, digest
from seepage.studies.invert import baselines
from seepage.studies.invert.baselines import TARGET_FREE
from seepage.studies.invert.ceiling import BUDGET, shown_at_best
from seepage.studies.invert.targets import TargetSpec
from seepage.studies.invert.world import World
from seepage.version import __version__

TRIES_AT_ONCE = 64  # images in the making, restarts and all
MOST_FOR_CEILING = 3  # images of a class
Unit = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Line:
    """What all pieces are made of. Called with a unit, it makes that piece, if it is not there.

    Attributes:
        judge: how a judge is trained; None where the user has one.
        budgets: of each attack.
        per_class: images of each class.
        given: the user's generator, in place of a GAN on public images.
    """

    world: World
    targets: Mapping[str, TargetSpec]
    attacks: Mapping[str, Inversion]
    budgets: Mapping[str, Budget]
    judge: Recipe | None
    priors: PriorOptions
    given: Prior | None
    per_class: int
    folder: Path
    device: str

    def __call__(self, unit: Unit, report: Report) -> None:
        arguments = {name: value for name, value in unit.items() if name != "make"}
        getattr(self, f"make_{unit['make']}")(**arguments, report=report)

    @property
    def kinds(self) -> list[str]:
        """Of the priors that the attacks search in."""
        return sorted({attack.prior for attack in self.attacks.values()})

    def seeds_of(self, target: str, seeds: Sequence[int]) -> list[int]:
        """A control, from which nothing can be had, is made once: its classes say enough."""
        return list(seeds[:1] if self.targets[target].role in ("null", "shuffled") else seeds)

    def waves(self, seeds: Sequence[int]) -> list[list[Unit]]:
        """All units, in waves: the units of one wave do not need each other, but may need those before.

        The ceilings of the priors and what needs no target come before the attacks: they say whether these can show
        anything.
        """
        free, bound = ([kind for kind in self.kinds if (kind in TARGET_FREE) is side] for side in (True, False))
        pairs = [(seed, target) for target in self.targets for seed in self.seeds_of(target, seeds)]
        first = [{"make": "target", "seed": seed, "target": target} for seed, target in pairs]
        first += [{"make": "judge", "seed": seed} for seed in seeds if self.judge is not None]
        first += [{"make": "prior", "seed": seed, "target": None, "kind": kind} for seed in seeds for kind in free]
        second = [{"make": "prior", "seed": s, "target": target, "kind": kind} for s, target in pairs for kind in bound]
        third = [{"make": "ceiling", **place} for place in self.ceilings(seeds)]
        third += [{"make": "baselines", "seed": seed} for seed in seeds]
        last = [{"make": "images", "seed": s, "target": t, "attack": name} for s, t in pairs for name in self.attacks]
        return [first, second, third, last]

    def ceilings(self, seeds: Sequence[int]) -> list[dict[str, Any]]:
        """The priors whose ceiling is measured: of the first seed, and against the first target that is no control."""
        first = min(self.targets, key=lambda name: self.targets[name].role in ("null", "shuffled"))
        return [
            {"seed": seeds[0], "target": None if kind in TARGET_FREE else first, "kind": kind}
            for kind in self.kinds
            if kind != "pixels"  # where every image lies as it is
        ]

    def has(self, unit: Unit) -> bool:
        """Whether nothing is left to make of a unit."""
        place = {name: value for name, value in unit.items() if name != "make"}
        if unit["make"] == "images":
            return all(self._store.has(self._images_key(**place, label=label)) for label in self.world.attacked)
        if unit["make"] == "target" and self.targets[unit["target"]].recipe is None:
            return True
        return self._store.has(getattr(self, f"_{unit['make']}_key")(**place))

    # Models

    def make_target(self, seed: int, target: str, report: Report) -> None:
        spec = self.targets[target]
        if spec.recipe is None or self._store.has(self._target_key(seed, target)):
            return
        records, rows = self.world.records(self.device), self.world.train
        if spec.role == "null":
            records, rows = self.world.null(self.device)
        elif spec.role == "shuffled":
            records = self.world.shuffled(np.random.default_rng([seed, 5]), self.device)
        self._train(self._target_key(seed, target), spec.recipe_of(seed), records, rows, report)

    def make_judge(self, seed: int, report: Report) -> None:
        if not self._store.has(self._judge_key(seed)):
            self._train(self._judge_key(seed), self.judge, *self.world.judge_records(self.device), report, HeldOut())

    def target(self, seed: int, target: str) -> nn.Module:
        spec = self.targets[target]
        return spec.module if spec.recipe is None else self._model(self._target_key(seed, target), spec.recipe)

    def judge_module(self, seed: int) -> nn.Module:
        return self._model(self._judge_key(seed), self.judge, self.world.n_judged)

    def _train(
        self, key: str, recipe: Recipe, records, rows: np.ndarray, report: Report, held_out: HeldOut | None = None
    ) -> None:
        started = time.perf_counter()
        held_out = held_out or self.world.strangers
        module = train_models(recipe, records, [rows], [_seed(key)], held_out=held_out, report=report)[0]
        weights = {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}
        self._store.write(key, weights, {"seconds": time.perf_counter() - started})

    def _model(self, key: str, recipe: Recipe, n_classes: int | None = None) -> nn.Module:
        module = recipe.skeleton(self.world.image_shape, n_classes or self.world.n_classes)
        module.load_state_dict(
            {name: torch.from_numpy(values) for name, values in self._store.read(key).arrays.items()}
        )
        return module.eval()

    # Priors

    def make_prior(self, seed: int, target: str | None, kind: str, report: Report) -> None:
        self.prior(seed, target, kind, report)
        self._store.write(self._prior_key(seed, target, kind), {}, {})

    def prior(self, seed: int, target: str | None, kind: str, report: Report = silent) -> Prior:
        """A prior of that kind, trained if it is not; of those that know no target, the same for all."""
        free = kind in TARGET_FREE
        oracle = None if free else Oracle(self.target(seed, target), Access.WEIGHTS, self.device)
        key = self._prior_key(seed, target, kind)
        return make_prior(
            kind, self._public, oracle, options=self.priors, given=self.given, seed=_seed(key), device=self.device,
            folder=self.folder / "priors" / key[:16], report=report,
        )  # fmt: skip

    # Images

    def make_images(self, seed: int, target: str, attack: str, report: Report) -> None:
        """Reconstructions of every class that is not there yet, some classes at a time.

        The last bits of an image depend on what it is made beside: one that is lost is made beside the same again.
        """
        inversion, budget = self.attacks[attack], self.budgets[attack]
        keys = {label: self._images_key(seed, target, attack, label) for label in self.world.attacked}
        lost = {label for label, key in keys.items() if not self._store.has(key)}
        size = max(1, TRIES_AT_ONCE // (self.per_class * budget.restarts))
        batches = [classes for classes in _batches(self.world.attacked, size) if lost.intersection(classes)]
        if not batches:
            return
        prior = self.prior(seed, target, inversion.prior)
        oracle = Oracle(self.target(seed, target), inversion.access, self.device)
        learning = 0.2
        known = inversion.learn(
            oracle, prior, self._public, seed=_seed(self._images_key(seed, target, attack, -1)),
            report=lambda fraction: report(learning * fraction),
        )  # fmt: skip
        for place, classes in enumerate(batches):
            labels = torch.tensor(classes, device=self.device).repeat_interleave(self.per_class)
            rngs = [
                np.random.default_rng([_seed(keys[label]), draw]) for label in classes for draw in range(self.per_class)
            ]

            def part(fraction: float, place=place) -> None:
                report(learning + (1 - learning) * (place + fraction) / len(batches))

            before, started = oracle.n_queries, time.perf_counter()
            images = inversion.reconstruct(Attempt(oracle, prior, labels, rngs, budget, known, part))
            spent = {
                "queries": (oracle.n_queries - before) / len(labels),
                "seconds": (time.perf_counter() - started) / len(labels),
            }
            for label, made in zip(classes, images.split(self.per_class), strict=True):
                if label in lost:
                    self._store.write(keys[label], {"images": made.cpu().numpy()}, spent)

    def images(self, seed: int, target: str, attack: str) -> tuple[Tensor, np.ndarray, dict[str, float]]:
        """All reconstructions, their labels, and what one of them cost on average."""
        keys = [self._images_key(seed, target, attack, label) for label in self.world.attacked]
        found = [self._store.read(key) for key in keys]
        made = np.concatenate([one.arrays["images"] for one in found])
        spent = [one.about for one in found]
        cost = {name: float(np.mean([one[name] for one in spent])) for name in spent[0]}
        return torch.from_numpy(made), np.repeat(self.world.attacked, self.per_class), cost

    # What needs no target

    def make_baselines(self, seed: int, report: Report) -> None:
        key = self._baselines_key(seed)
        if self._store.has(key):
            return
        labels = torch.tensor(self.world.attacked, device=self.device).repeat_interleave(self.per_class)

        def rngs(of: int) -> list[np.random.Generator]:
            return [np.random.default_rng([_seed(key), of, place]) for place in range(len(labels))]

        made = {
            f"random-code {kind}": baselines.random_codes(self.prior(seed, None, kind), labels, rngs(0))
            for kind in self._free
        }
        if len(self._public):
            made["random-public"] = baselines.random_public(self._public, rngs(1))
        self._store.write(key, {name: images.cpu().numpy() for name, images in made.items()}, {})

    def baselines(self, seed: int, kind: str) -> dict[str, Tensor]:
        """Images for which no target was asked, one for each label that `images` has.

        A random code is of the attack's prior; of the generator that knows no target, where the attack's prior knows
        it; and there is none, where there is no such generator.
        """
        arrays = self._store.read(self._baselines_key(seed)).arrays
        of = kind if kind in TARGET_FREE else "gan"
        found = {"random-code": arrays.get(f"random-code {of}"), "random-public": arrays.get("random-public")}
        return {name: torch.from_numpy(images) for name, images in found.items() if images is not None}

    def make_ceiling(self, seed: int, target: str | None, kind: str, report: Report) -> None:
        key = self._ceiling_key(seed, target, kind)
        if self._store.has(key):
            return
        real, labels = self._for_ceiling
        rngs = [np.random.default_rng([_seed(key), place]) for place in range(len(labels))]
        prior = self.prior(seed, target, kind)
        made = shown_at_best(prior, real, torch.from_numpy(labels), rngs, report=report)
        self._store.write(key, {"images": made.cpu().numpy()}, {})

    def ceiling(self, seed: int, target: str | None, kind: str) -> tuple[Tensor, Tensor, np.ndarray]:
        """What the prior shows of real images at best, these images, and their labels."""
        made = self._store.read(self._ceiling_key(seed, target, kind)).arrays["images"]
        return torch.from_numpy(made), *self._for_ceiling

    @functools.cached_property
    def _for_ceiling(self) -> tuple[Tensor, np.ndarray]:
        """Held-out images of the attacked classes, the first of each."""
        own = np.asarray(self.world.pool.labels)[self.world.held_out]
        most = min(self.per_class, MOST_FOR_CEILING)
        rows = np.concatenate([self.world.held_out[own == label][:most] for label in self.world.attacked])
        return self.world.of(rows)

    # Keys

    @property
    def _free(self) -> list[str]:
        return [kind for kind in self.kinds if kind in TARGET_FREE]

    @functools.cached_property
    def _store(self) -> Store:
        return Store(self.folder)

    @functools.cached_property
    def _public(self) -> Tensor:
        return torch.from_numpy(self.world.images).to(self.device)

    @functools.cached_property
    def _world_key(self) -> str:
        rows = {name: getattr(self.world, name).tolist() for name in ("train", "held_out", "public")}
        return digest([self.world.pool.fingerprint, rows, self.world.n_classes, _digest(self.world.images)])

    @functools.cached_property
    def _given(self) -> list | None:
        """What the user's generator depends on: a file of the same name may hold another one."""
        if self.given is None:
            return None
        own = vars(self.given)
        modules = [Module(one, "logits").fingerprint() for one in own.values() if isinstance(one, nn.Module)]
        numbers = {name: one for name, one in own.items() if isinstance(one, (int, float, str, tuple))}
        return [type(self.given).__qualname__, self.given.name, repr(sorted(numbers.items())), *modules]

    def _key(self, *parts: Any) -> str:
        return digest([__version__, self._world_key, *parts])[:32]

    def _target_key(self, seed: int, target: str) -> str:
        spec = self.targets[target]
        if spec.recipe is None:
            return self._key("own", *spec.own)
        # Which public class stands under which private number depends on which of these are attacked.
        order = [list(self.world.attacked)] if spec.role == "null" else []
        return self._key("target", seed, spec.role, spec.recipe_of(seed).describe(), *order)

    def _judge_key(self, seed: int) -> str:
        public = self.world.for_judge
        return self._key("judge", seed, self.judge.describe(), None if public is None else public.fingerprint)

    def _prior_key(self, seed: int, target: str | None, kind: str) -> str:
        of = None if kind in TARGET_FREE else self._target_key(seed, target)
        return self._key("prior", seed, kind, asdict(self.priors), self._given, of)

    def _images_key(self, seed: int, target: str, attack: str, label: int) -> str:
        inversion = self.attacks[attack]
        how = [type(inversion).__name__, asdict(inversion), asdict(self.budgets[attack]), self.per_class]
        with_prior = [asdict(self.priors), self._given]
        return self._key("images", self._target_key(seed, target), seed, how, with_prior, label)

    def _baselines_key(self, seed: int) -> str:
        how = [self._free, self.per_class, list(self.world.attacked), asdict(self.priors)]
        return self._key("baselines", seed, how, self._given)

    def _ceiling_key(self, seed: int, target: str | None, kind: str) -> str:
        how = [list(self.world.attacked), self.per_class, asdict(BUDGET)]
        return self._key("ceiling", self._prior_key(seed, target, kind), how)


def _seed(key: str) -> int:
    return int(key[:15], 16)


def _digest(*arrays: np.ndarray) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _batches(items: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
