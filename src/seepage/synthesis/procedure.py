"""The whole pipeline as a way of training: a generator on the members, a release, a model on the release alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import nn

from seepage.data import Pool
from seepage.models.generators.vae import VAE
from seepage.models.generators.vae_training import train_vae
from seepage.models.held_out import HeldOut
from seepage.models.recipe import Procedure, Recipe
from seepage.models.records import Records
from seepage.models.train import train_models
from seepage.options import Options
from seepage.synthesis.mechanism import latent_noise

SHARE_OF_VAE = 0.7  # of the time of one model, for progress bars


@dataclass(frozen=True)
class TrainOnSynthetic(Procedure, Options):
    """Each model is trained on a release of its own members: one noisy code a member, decoded.

        z~ = mu(x, y) + w,   w of density proportional to exp(-epsilon |w|_2),   record ~ p(. | z~, y)

    A reference is trained the same way, generator and all, on the members of its own column. So an audit of a recipe
    with this procedure is that of an attacker who knows the pipeline and asks the model about the *original* records:

        seepage.audit(None, pool, recipe=replace(recipe, procedure=TrainOnSynthetic(epsilon=8.0)), every_model=True)

    Options:
        epsilon: of metric privacy in the codes' distance, per release of one record; None adds no noise.
        latent: n, numbers in a code. E|w| = n / epsilon, and |mu| is about sqrt(n) at most.
        draw: binary values, choices and numbers are drawn from what the decoder says; otherwise each is the likeliest,
            which makes every record a caricature of its class. Levels, as in images, are always the mean.
        epochs, batch_size, network, width: of the VAE; see `train_vae`.

    Labels are kept as they are, which epsilon does not cover, and both networks are told them. The VAE is trained on
    the members without differential privacy, so epsilon is no promise about the release: that is why it is audited.

    Raises:
        InputError: an option is out of range.
    """

    epsilon: Annotated[float, Gt(0)] | None = None
    latent: Annotated[int, Ge(1)] = 16
    draw: bool = True
    epochs: Annotated[int, Ge(1)] = 40
    batch_size: Annotated[int, Ge(1)] = 64
    network: str = "auto"
    width: int | None = None

    def train(
        self,
        recipe: Recipe,
        records: Records,
        columns: Sequence[np.ndarray],
        seeds: Sequence[int],
        held_out: HeldOut,
        report: Callable[[float], None],
    ) -> list[nn.Module]:
        modules = []
        for place, (column, seed) in enumerate(zip(columns, seeds, strict=True)):

            def part(fraction: float, place=place) -> None:
                report((place + fraction) / len(columns))

            release = self.release(_pool(records, column), seed=seed, report=lambda f, p=part: p(SHARE_OF_VAE * f))
            learnt, rows, aside = _beside(records, release, held_out)
            modules += train_models(
                recipe,
                learnt,
                [rows],
                [seed],
                held_out=aside,
                report=lambda f, p=part: p(SHARE_OF_VAE + (1 - SHARE_OF_VAE) * f),
            )
        return modules

    def generator(self, members: Pool, *, seed: int, report: Callable[[float], None] = lambda fraction: None) -> VAE:
        """The VAE of these members; it does not depend on epsilon."""
        return train_vae(
            members,
            conditional=True,
            latent=self.latent,
            network=self.network,
            width=self.width,
            epochs=self.epochs,
            batch_size=self.batch_size,
            seed=seed,
            report=report,
        )

    def release(
        self,
        members: Pool,
        *,
        seed: int,
        vae: VAE | None = None,
        report: Callable[[float], None] = lambda fraction: None,
    ) -> Pool:
        """One record for each member, with its label, in the members' order.

        Args:
            members: the originals, with labels.
            seed: of the VAE, the noise and what is drawn.
            vae: trained before, by `generator`; by default one is trained.
            report: told the share that is done.
        """
        vae = vae or self.generator(members, seed=seed, report=report)
        codes = vae.encode(members.inputs, members.labels)
        if self.epsilon is not None:
            codes = codes + latent_noise(*codes.shape, self.epsilon, np.random.default_rng([seed, 2]))
        drawn_by = np.random.default_rng([seed, 3]) if self.draw else None
        inputs = vae.records(vae.decode(codes, members.labels), drawn_by)
        return Pool(
            inputs,
            members.labels,
            name=f"release of {members.name}",
            n_classes=members.n_classes,
            classes=members.classes,
            scale=members.scale,
        )


def _pool(records: Records, rows: np.ndarray) -> Pool:
    at = torch.from_numpy(np.asarray(rows)).to(records.inputs.device)
    inputs, labels = records.inputs.index_select(0, at), records.labels.index_select(0, at)
    return Pool(inputs.cpu().numpy(), labels.cpu().numpy(), n_classes=records.n_classes, scale=records.scale)


def _beside(records: Records, release: Pool, held_out: HeldOut) -> tuple[Records, np.ndarray, HeldOut]:
    """The release and the real held-out records as one pool, the rows of the release in it, and of those held out.

    What a stopping rule chooses by are real records of nobody's; no original member is among them.
    """
    aside = np.concatenate([held_out.validation, held_out.population])
    real, released = _pool(records, aside) if len(aside) else None, Records.of(release, records.inputs.device)
    rows = np.arange(len(release))
    if real is None:
        return released, rows, HeldOut()
    real = Records.of(real, records.inputs.device)
    both = replace(
        released,
        inputs=torch.cat([released.inputs, real.inputs]),
        labels=torch.cat([released.labels, real.labels]),
    )
    n, k = len(release), len(held_out.validation)
    return both, rows, HeldOut(np.arange(n, n + k), np.arange(n + k, n + len(aside)))
