"""Who was in which training set: one column a model, and the named subsets that an audit needs.

The reference columns are balanced among themselves, so that every record is IN as many references as it is
OUT of. A target's column is never part of that balance: were all columns balanced together, a member of the
target would be IN one reference fewer than a non-member, and the count alone would give the answer away.
"""

import hashlib
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int8
from numpy.typing import ArrayLike

from seepage.errors import InputError
from seepage.randomness import Seed, generator

ORIGINS = ("drawn", "declared", "unknown")
SUBSETS = ("audit", "known", "validation", "population")


@dataclass(frozen=True, eq=False)
class Membership:
    """Bool columns over the samples of a pool; True means that the record was trained on (IN).

    Records in none of the four subsets `audit`, `known`, `validation` and `population` are never judged. In the
    columns that are drawn here no model sees them either, but for the ordinary records of `canaries_in_turns`, on
    which every model is trained.

    Args:
        references: (samples, references); may have no column.
        targets: (samples, targets), at least one; with `turns` the same columns as `references`.
        audit: (samples,) records that attacks are scored on, in every target both members and others.
        known: (samples,) records whose membership in the target the attacker knows beforehand.
        validation: (samples,) records held out of every training, for stopping rules and accuracies.
        population: (samples,) records held out of every training that the attacker holds.
        canaries: (samples,) records of the audit that were planted.
        others: name -> (samples,) other non-members: sets of records OUT of every model that attacks are counted on.
        origin: "drawn" (by us, at random), "declared" (the user says that it was random) or "unknown".
        turns: every reference takes its turn as the target.

    Raises:
        InputError: shapes differ, subsets overlap, or a held-out record is IN somewhere.

    >>> rng = np.random.default_rng(0)
    >>> membership = Membership.split(100, references=8, population=0.2, rng=rng)
    >>> membership.references.shape, int(membership.audit.sum()), set(membership.references.sum(1)[membership.audit])
    ((100, 8), 80, {np.int64(4)})
    """

    references: Any
    targets: Any
    audit: Any
    known: Any = None
    validation: Any = None
    population: Any = None
    canaries: Any = None
    others: Mapping[str, Any] = field(default_factory=dict)
    origin: str = "unknown"
    turns: bool = False

    def __post_init__(self):
        audit = _mask("audit", self.audit, (np.size(self.audit),))
        n = len(audit)
        checked: dict[str, Any] = {"audit": audit}
        for name in ("known", "validation", "population", "canaries"):
            value = getattr(self, name)
            checked[name] = np.zeros(n, dtype=bool) if value is None else _mask(name, value, (n,))
        for name in ("references", "targets"):
            columns = np.asarray(getattr(self, name))
            checked[name] = _mask(name, columns, (n, columns.shape[1] if columns.ndim == 2 else -1))
        checked["others"] = {name: _mask(name, value, (n,)) for name, value in self.others.items()}
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        if self.origin not in ORIGINS:
            raise InputError(f"expected origin to be one of {', '.join(ORIGINS)}, got {self.origin!r}")
        subsets = {name: getattr(self, name) for name in SUBSETS} | dict(self.others)
        if len(subsets) < len(SUBSETS) + len(self.others):
            raise InputError(f"expected names of other non-members beside {', '.join(SUBSETS)}, got one of these")
        for i, one in enumerate(subsets):
            for other in list(subsets)[i + 1 :]:
                both = int((subsets[one] & subsets[other]).sum())
                if both:
                    raise InputError(f"expected {one} and {other} records to be disjoint, got {both} in both")
        if (self.canaries & ~self.audit).any():
            raise InputError(
                f"expected canaries among the audit records, got {(self.canaries & ~self.audit).sum()} elsewhere"
            )
        for name in ("population", "validation", *self.others):
            held_out = subsets[name]
            for columns in ("references", "targets"):
                n_in = int(getattr(self, columns)[held_out].any(axis=1).sum())
                if n_in:
                    raise InputError(f"expected {name} records OUT of every model, got {n_in} IN one of the {columns}")
        if self.targets.shape[1] == 0:
            raise InputError("expected at least one target column, got none")
        members = self.targets[self.audit].sum(axis=0)
        empty = (members == 0) | (members == self.audit.sum())
        if empty.any():
            t = int(empty.argmax())
            raise InputError(
                f"expected members and non-members among the audit records of every target, got {members[t]} members "
                f"of {self.audit.sum()} in target {t}"
                + f"; {self.known.sum()} records are known and not audited: let fewer be known"
                * bool(self.known.any())
            )
        if self.turns and not np.array_equal(self.references, self.targets):
            raise InputError("expected targets and references to be the same columns where every model takes its turn")

    def __len__(self) -> int:
        return len(self.audit)

    @property
    def any_other(self) -> Bool[np.ndarray, " samples"]:
        """Whether a record is among the other non-members."""
        return np.logical_or.reduce([np.zeros(len(self), dtype=bool), *self.others.values()])

    def with_others(self, sizes: Mapping[str, int]) -> "Membership":
        """The same with so many records behind the last one, set by set, as other non-members."""
        n = len(self) + sum(sizes.values())
        ends = len(self) + np.cumsum([0, *sizes.values()])
        others = {
            name: (np.arange(n) >= low) & (np.arange(n) < high)
            for name, low, high in zip(sizes, ends, ends[1:], strict=False)
        }
        names = ("references", "targets", *SUBSETS, "canaries")
        longer = {name: _lengthened(getattr(self, name), n) for name in names}
        before = {name: _lengthened(mask, n) for name, mask in self.others.items()}
        return replace(self, **longer, others=before | others)

    @property
    def n_references(self) -> int:
        return self.references.shape[1]

    @property
    def n_targets(self) -> int:
        return self.targets.shape[1]

    @property
    def target(self) -> Bool[np.ndarray, "samples"]:
        """The column of the first target."""
        return self.targets[:, 0]

    @classmethod
    def split(
        cls,
        pool_or_n: Sized | int,
        *,
        references: int,
        targets: int = 1,
        population: float | int = 0.2,
        validation: float | int = 0.0,
        known: float | int = 0.0,
        canaries: ArrayLike | None = None,
        rng: Seed,
    ) -> "Membership":
        """Draw everything at random: held-out subsets, balanced references, coin flips for each target.

        Args:
            pool_or_n: the pool, or how many records it has.
            references: K. Every audit or known record is IN K/2 of them (K odd: one fewer or more, by a
                coin), and OUT of the others; in each column records are IN independently with
                probability 1/2.
            targets: columns in which every audit or known record is IN by a coin of its own.
            population, validation, known: a share of all records (float below 1) or a count (int).
            canaries: bool mask or indices of planted records, which then belong to the audit.
        """
        rng = generator(rng)
        n = _n_records(pool_or_n)
        canary_mask = np.zeros(n, dtype=bool) if canaries is None else _selection("canaries", canaries, n)
        subsets = _draw_subsets(canary_mask, rng, population=population, validation=validation, known=known)
        trainable = subsets["audit"] | subsets["known"]
        return cls(
            references=_balanced(trainable, _count("references", references), rng),
            targets=(rng.random((n, _count("targets", targets))) < 0.5) & trainable[:, None],
            canaries=canary_mask,
            origin="drawn",
            audit=subsets["audit"],
            known=subsets["known"],
            population=subsets["population"],
            validation=subsets["validation"],
        )

    @classmethod
    def fixed(
        cls,
        pool_or_n: Sized | int,
        *,
        members: ArrayLike,
        nonmembers: ArrayLike | None = None,
        references: int = 0,
        origin: str,
        population: ArrayLike | float | int = 0.0,
        validation: ArrayLike | float | int = 0.0,
        known: ArrayLike | float | int = 0.0,
        canaries: ArrayLike | None = None,
        rng: Seed,
    ) -> "Membership":
        """The user's lists for a model that is already trained, and balanced references beside it.

        Args:
            pool_or_n: the pool, or how many records it has.
            members: bool mask or indices of the records that the target was trained on.
            nonmembers: the same for those that it was not; by default all others. Records in neither list
                take no part.
            references: K columns over the audit and known records, balanced as in `split`.
            origin: "declared" if the members were chosen at random among the records, "unknown" if not.
            population, validation: non-members to set aside: a mask or indices, or a share (float below
                1) or count (int) of the non-members, drawn at random.
            known: records whose membership the attacker knows: a mask or indices, or a share or count of
                all that are left, drawn at random.
            canaries: bool mask or indices of planted records.
        """
        rng = generator(rng)
        if origin == "drawn":
            raise InputError("expected origin 'declared' or 'unknown' for given lists: only Membership.split draws")
        n = _n_records(pool_or_n)
        is_member = _selection("members", members, n)
        is_nonmember = ~is_member if nonmembers is None else _selection("nonmembers", nonmembers, n)
        if both := int((is_member & is_nonmember).sum()):
            raise InputError(f"expected members and non-members to be disjoint, got {both} records in both")
        held_out = {"population": _some("population", population, is_nonmember, rng)}
        held_out["validation"] = _some("validation", validation, is_nonmember & ~held_out["population"], rng)
        for name, mask in held_out.items():
            if elsewhere := int((mask & ~is_nonmember).sum()):
                raise InputError(f"expected {name} records among the non-members, got {elsewhere} elsewhere")
        left = (is_member | is_nonmember) & ~held_out["population"] & ~held_out["validation"]
        known_mask = _some("known", known, left, rng)
        return cls(
            references=_balanced(left, _count("references", references), rng),
            targets=is_member[:, None],
            audit=left & ~known_mask,
            known=known_mask,
            canaries=None if canaries is None else _selection("canaries", canaries, n),
            origin=origin,
            population=held_out["population"],
            validation=held_out["validation"],
        )

    @classmethod
    def every_model(
        cls,
        pool_or_n: Sized | int,
        *,
        references: int,
        population: float | int = 0.2,
        validation: float | int = 0.0,
        rng: Seed,
    ) -> "Membership":
        """Balanced references that take turns as the target: K targets for the price of K references.

        `reference_masks` evens the counts out again for each turn, which costs one or two references a
        record; attacks that need two IN and two OUT references need K of at least 6.
        """
        rng = generator(rng)
        n = _n_records(pool_or_n)
        if _count("references", references) < 2:
            raise InputError(f"expected at least 2 references where each takes its turn as target, got {references}")
        subsets = _draw_subsets(np.zeros(n, dtype=bool), rng, population=population, validation=validation, known=0)
        columns = _balanced(subsets["audit"], references, rng)
        return cls(
            references=columns,
            targets=columns,
            audit=subsets["audit"],
            population=subsets["population"],
            validation=subsets["validation"],
            origin="drawn",
            turns=True,
        )

    @classmethod
    def canaries_in_turns(
        cls,
        pool_or_n: Sized | int,
        *,
        canaries: ArrayLike,
        models: int = 64,
        train: ArrayLike | float | int | None = None,
        population: float | int = 0.0,
        validation: float | int = 0.0,
        keep: ArrayLike | None = None,
        rng: Seed,
    ) -> "Membership":
        """Canaries in half of the models, the same ordinary records in all of them, and every model a target in turn.

        Only the canaries are audited, so the result is about records like them. As nothing else changes from model to
        model, it is also about this very training set.

        Args:
            pool_or_n: the pool, or how many records it has.
            canaries: mask or indices of the planted records. Each is IN half of the models (an odd number: one
                fewer or more, by a coin), which half drawn afresh for each.
            models: trained models, at least 2; every one is the target once and the others are its references.
            train: the ordinary records that every model is trained on: a mask or indices, or a share or count of
                those that are left, drawn at random; by default all that are left.
            population, validation: records OUT of every model: a share of all records (float below 1) or a count.
            keep: mask or indices of ordinary records that are trained on in any case (companions of canaries).

        Reference: Aerni, Zhang and Tramèr (2024), arXiv 2404.17399, section 4. *Our deviation*: as many IN as OUT
            references are used for each canary (see `reference_masks`); they use all of the others.
        """
        rng = generator(rng)
        n = _n_records(pool_or_n)
        if _count("models", models) < 2:
            raise InputError(f"expected at least 2 models where each takes its turn as target, got {models}")
        audit = _selection("canaries", canaries, n)
        kept = np.zeros(n, dtype=bool) if keep is None else _selection("keep", keep, n)
        if both := int((audit & kept).sum()):
            raise InputError(f"expected canaries and kept records to be disjoint, got {both} in both")
        fixed = None if train is None or np.ndim(train) == 0 else _selection("train", train, n) | kept
        if fixed is not None and (both := int((audit & fixed).sum())):
            raise InputError(f"expected canaries and ordinary training records to be disjoint, got {both} in both")
        taken = audit | (kept if fixed is None else fixed)
        subsets = _draw_subsets(taken, rng, population=population, validation=validation)
        left = subsets.pop("audit") & ~taken
        if fixed is None:
            fixed = kept | (left if train is None else _some("train", train, left, rng))
        columns = _balanced(audit, models, rng) | fixed[:, None]
        return cls(
            references=columns,
            targets=columns,
            audit=audit,
            population=subsets["population"],
            validation=subsets["validation"],
            canaries=audit,
            origin="drawn",
            turns=True,
        )

    def reference_masks(
        self, target_index: int = 0, *, rng: Seed
    ) -> tuple[Bool[np.ndarray, "samples references"], Bool[np.ndarray, "samples references"]]:
        """Which references hold a record (IN) and which do not (OUT), as one target's attacker may use them.

        For an ordinary target that is `references` and its complement. Where models take turns, the
        target's own column is neither, and of every record as many IN as OUT references are kept, chosen at
        random: a member of the target has one IN reference fewer than a non-member, and the count, or any
        mean over references, would tell them apart. The same is done where somebody else balanced the
        target's column together with those of the references.
        """
        rng = generator(rng)
        if not 0 <= target_index < self.n_targets:
            raise InputError(f"expected a target below {self.n_targets}, got {target_index}")
        if not self.turns and not self._completes_a_balance(target_index):
            return self.references, ~self.references
        if not self.turns:
            is_in, is_out = self.references, ~self.references
            # As few on each side as the record that has fewest: any count that depends on the target would tell.
            kept = [
                np.where(self.audit, side[self.audit].sum(axis=1).min(), self.n_references) for side in (is_in, is_out)
            ]
            return _keep(is_in, kept[0], rng), _keep(is_out, kept[1], rng)
        others = np.arange(self.n_references) != target_index
        is_in, is_out = self.references & others, ~self.references & others
        # A population or validation record is OUT everywhere: it is no one's member, nothing to even out.
        held_out = ~is_in.any(axis=1) & ~self.audit & ~self.known
        n_kept = np.where(held_out, self.n_references, np.minimum(is_in.sum(axis=1), is_out.sum(axis=1)))
        return _keep(is_in, n_kept, rng), _keep(is_out, n_kept, rng)

    def _completes_a_balance(self, target_index: int) -> bool:
        """Whether every audited record is IN equally many models only when the target is counted too."""
        counts = self.references[self.audit].sum(axis=1)
        with_target = counts + self.targets[self.audit, target_index]
        return bool(np.ptp(counts) > 0 and np.ptp(with_target) == 0)

    def known_bits(self, target_index: int = 0) -> Int8[np.ndarray, "samples"]:
        """What the attacker knows of one target: 1 known member, 0 known non-member, -1 unknown."""
        return np.where(self.known, self.targets[:, target_index], np.int8(-1)).astype(np.int8)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all columns, subsets and the origin."""
        digest = hashlib.sha256(repr(("seepage.membership/1", self.origin, self.turns)).encode())
        for name in ("references", "targets", *SUBSETS, "canaries"):
            digest.update(_packed(getattr(self, name)))
        for name, mask in self.others.items():
            digest.update(name.encode() + _packed(mask))
        return digest.hexdigest()


def _balanced(trainable: np.ndarray, n_columns: int, rng: np.random.Generator) -> np.ndarray:
    """Each trainable record IN half of the columns, which half drawn afresh for every record.

    A record's columns in the order of uniform draws, the first half IN: rows are independent, and so is
    each single column's bit from row to row.
    """
    columns = np.zeros((len(trainable), n_columns), dtype=bool)
    n = int(trainable.sum())
    n_in = n_columns // 2 + (rng.integers(0, 2, size=n) if n_columns % 2 else np.zeros(n, dtype=np.int64))
    columns[trainable] = _keep(np.ones((n, n_columns), dtype=bool), n_in, rng)
    return columns


def _keep(mask: np.ndarray, n_kept: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At most `n_kept[i]` of the True entries of row i, chosen at random."""
    order = np.where(mask, rng.random(mask.shape), np.inf).argsort(axis=1)
    first = np.arange(mask.shape[1]) < n_kept[:, None]
    kept = np.zeros_like(mask)
    np.put_along_axis(kept, order, first, axis=1)
    return kept & mask


def _draw_subsets(canaries: np.ndarray, rng: np.random.Generator, **sizes: float | int) -> dict[str, np.ndarray]:
    """Disjoint random subsets, none of them with a canary; what is left is the audit."""
    n = len(canaries)
    order = rng.permutation(np.flatnonzero(~canaries))
    subsets, start = {}, 0
    for name, size in sizes.items():
        stop = start + _size(name, size, n)
        if stop > len(order):
            raise InputError(f"expected {', '.join(sizes)} to leave records for the audit, got {stop} of {len(order)}")
        subsets[name] = np.zeros(n, dtype=bool)
        subsets[name][order[start:stop]] = True
        start = stop
    audit = np.ones(n, dtype=bool)
    audit[order[:start]] = False
    return subsets | {"audit": audit}


def _some(name: str, chosen: ArrayLike | float | int, among: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mask from a mask or indices, or from the size of a random choice."""
    if np.ndim(chosen) > 0:
        return _selection(name, chosen, len(among))
    mask = np.zeros(len(among), dtype=bool)
    candidates = np.flatnonzero(among)
    mask[rng.permutation(candidates)[: _size(name, chosen, len(candidates))]] = True
    return mask


def _size(name: str, size: Any, n: int) -> int:
    if isinstance(size, (int, np.integer)) and not isinstance(size, bool) and 0 <= size <= n:
        return int(size)
    if isinstance(size, (float, np.floating)) and 0 <= size < 1:
        return round(size * n)
    raise InputError(f"expected {name} as a share (float, 0 to below 1) or a count (int, at most {n}), got {size!r}")


def _count(name: str, count: Any) -> int:
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < 0:
        raise InputError(f"expected {name} as a number of models, got {count!r}")
    return int(count)


def _n_records(pool_or_n: Sized | int) -> int:
    n = _count("records", pool_or_n) if isinstance(pool_or_n, (int, np.integer)) else len(pool_or_n)
    if n == 0:
        raise InputError("expected at least one record, got none")
    return n


def _selection(name: str, chosen: ArrayLike, n: int) -> np.ndarray:
    """A bool mask from a bool mask or from distinct indices."""
    chosen = np.asarray(chosen)
    if chosen.dtype == bool:
        return _mask(name, chosen, (n,))
    if chosen.size == 0:
        return np.zeros(n, dtype=bool)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        raise InputError(f"expected {name} as a bool mask or a list of indices, got {chosen.dtype} {chosen.shape}")
    if chosen.min() < 0 or chosen.max() >= n:
        raise InputError(f"expected {name} as indices from 0 to {n - 1}, got {chosen.min()} to {chosen.max()}")
    if len(np.unique(chosen)) < len(chosen):
        raise InputError(
            f"expected each of the {name} once, got {len(chosen) - len(np.unique(chosen))} indices more than once"
        )
    mask = np.zeros(n, dtype=bool)
    mask[chosen] = True
    return mask


def _mask(name: str, mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise InputError(f"expected {name} in bool, True for IN, got {mask.dtype}")
    if mask.shape != shape:
        expected = ", ".join("any" if length < 0 else str(length) for length in shape)
        raise InputError(f"expected {name} of shape ({expected}), got {mask.shape}")
    return mask


def _lengthened(mask: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([mask, np.zeros((n - len(mask), *mask.shape[1:]), dtype=bool)])


def _packed(mask: np.ndarray) -> bytes:
    return repr(mask.shape).encode() + np.packbits(mask).tobytes()
