"""Training by noisy steps: Poisson batches, clipped gradients, and noise of each model's own."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from seepage.errors import InputError, TrainingError
from seepage.models.batches import augment
from seepage.models.book_keeping import BookKeeping
from seepage.models.clipping import per_sample_clipped_sum
from seepage.models.dropout import SeededDropout
from seepage.models.engines import has_convolutions
from seepage.models.objectives import on_copies
from seepage.models.recipe import Recipe
from seepage.models.records import Records

# Batches are padded to a multiple of this, so that few shapes occur.
PADDED_TO = 16
CHECKED_RECORDS = 4
REPORTED_EVERY = 64
NO_DROPOUT = (
    "DP-SGD takes dropout where all parameters are those of Linear, Conv2d, GroupNorm and LayerNorm layers, each "
    "called once: leave the dropout out, or build the model of these layers"
)


class PoissonStream:
    """The batches of one model: in every step each member is drawn by itself, with probability batch_size / members.

    All of it comes from the model's own seed. A batch is as large as the draw makes it, and may be empty.
    """

    def __init__(self, members: np.ndarray, recipe: Recipe, seed: int):
        self.members = np.asarray(members, dtype=np.int64)
        if recipe.batch_size > len(self.members):
            raise InputError(
                f"Poisson sampling draws {recipe.batch_size} members a step on average, and the model has "
                f"{len(self.members)}: take a smaller batch_size"
            )
        self.batch_size = recipe.batch_size
        self.sample_rate = recipe.batch_size / len(self.members)
        self.augmentation = recipe.augmentation
        self.n_steps = math.ceil(recipe.epochs * len(self.members) / recipe.batch_size)
        self._rng = np.random.default_rng([seed, 1])

    def epoch(self, step: int) -> int:
        """The pass in which a step begins, were the steps passes over the members."""
        return step * self.batch_size // len(self.members)

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """The next step's record indices (batch,) and augmentation moves (batch, 3)."""
        drawn = self.members[self._rng.random(len(self.members)) < self.sample_rate]
        if self.augmentation is None:
            return drawn, np.empty((len(drawn), 0), dtype=np.int64)
        flips = self._rng.integers(0, 2, (len(drawn), 1)) * self.augmentation.flip
        offsets = self._rng.integers(0, 2 * self.augmentation.shift + 1, (len(drawn), 2))
        return drawn, np.concatenate([flips, offsets], axis=1)


class NoisySteps:
    """Models stacked on their way by DP-SGD: `run()` trains and returns them.

        theta <- optimiser(theta, ( sum_{i in batch} clip(g_i, C) + N(0, (sigma C)^2) ) / batch_size)

    `batch_size` is the expected one. Every model draws its batches and its noise from generators of its own.

    Args:
        columns: member rows of each model.
        noise_multipliers: sigma of each model.
        max_norm: C.
    """

    def __init__(
        self,
        recipe: Recipe,
        records: Records,
        columns: Sequence[np.ndarray],
        seeds: Sequence[int],
        *,
        noise_multipliers: Sequence[float],
        max_norm: float,
    ):
        refuse_other_steps(recipe)
        device = records.inputs.device
        self.recipe, self.records, self.max_norm = recipe, records, max_norm
        self.noise_multipliers = noise_multipliers
        self.streams = [PoissonStream(column, recipe, seed) for column, seed in zip(columns, seeds, strict=True)]
        self.modules = [recipe.build(records.input_shape, records.n_classes, s).to(device).train() for s in seeds]
        for module in self.modules:
            refuse_mixing(module)
        self.generators = [_generator(seed, device) for seed in seeds]
        self.skeleton = copy.deepcopy(self.modules[0])
        state, buffers = stack_module_state(self.modules)
        trained = [name for name, p in self.skeleton.named_parameters() if p.requires_grad]
        self.parameters = {name: state[name].detach().clone() for name in trained}
        self.others = {name: value.detach() for name, value in {**state, **buffers}.items() if name not in trained}
        self.state = recipe.optimiser.initial_state(list(self.parameters.values()))
        self.steps_done = 0
        self.vectorised = True
        self.clipped_sum = self._of_one_model(columns[0])
        self.programs: dict[int, Callable] = {}

    def run(self, report: Callable[[float], None] = lambda fraction: None) -> list[nn.Module]:
        n_steps = max(stream.n_steps for stream in self.streams)
        while self.steps_done < n_steps:
            self.step()
            if self.steps_done % REPORTED_EVERY == 0:
                report(min(1.0, self.steps_done / n_steps))
        for module in self.modules:
            if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
                raise TrainingError(
                    "a training with noise diverged: its weights are no longer finite. Expected a recipe whose loss "
                    "stays finite; try a smaller learning rate"
                )
        return [module.eval() for module in self.modules]

    @torch.no_grad()
    def step(self) -> None:
        arguments = (self.parameters, self.others, *self._batch())
        before = {n: t.clone() for n, t in self.others.items()} if self.steps_done == 0 else {}
        summed, self.others = self._program(arguments)(*arguments)
        self._refuse_statistics(before)
        self._update(self._noised(summed))
        self.steps_done += 1
        for place, (module, stream) in enumerate(zip(self.modules, self.streams, strict=True)):
            if self.steps_done == stream.n_steps:
                state = {**self.parameters, **self.others}
                module.load_state_dict({name: value[place] for name, value in state.items()}, strict=False)

    def _of_one_model(self, members: np.ndarray) -> Callable:
        """The clipped sum for the state of one model: by book-keeping if that gives the same, or record by record."""
        device = self.records.inputs.device
        few = torch.from_numpy(np.resize(np.asarray(members), CHECKED_RECORDS)).to(device)
        inputs, labels = self.records.batch(few), self.records.labels[few]
        book_keeping = BookKeeping(self.skeleton, inputs[:1])
        if book_keeping.fits and _agrees(self.skeleton, inputs, labels, self._losses):

            def of_batch(parameters, others, inputs, labels, mask):
                losses = lambda outputs: self._losses(outputs, labels)  # noqa: E731
                return book_keeping(losses, parameters, others, inputs, mask, self.max_norm)

            return of_batch
        if any(isinstance(layer, SeededDropout) and layer.p for layer in self.skeleton.modules()):
            raise InputError(NO_DROPOUT)

        def record_by_record(parameters, others, inputs, labels, mask):
            def loss(parameters, x, y):
                outputs = functional_call(self.skeleton, {**parameters, **others}, (x.unsqueeze(0),))
                return self._losses(outputs, y.unsqueeze(0)).sum()

            how = {"vectorised": self.vectorised}
            return per_sample_clipped_sum(loss, parameters, (inputs, labels), mask, self.max_norm, **how), others

        parameters, others = ({n: t[0] for n, t in part.items()} for part in (self.parameters, self.others))
        try:
            record_by_record(parameters, others, inputs, labels, torch.ones_like(labels, dtype=torch.bool))
        except RuntimeError as error:
            if "random" in str(error):  # dropout that no layer of its own does, as in nn.MultiheadAttention
                raise InputError(NO_DROPOUT) from error
            self.vectorised = False  # some layers (GRU) cannot be batched over records
        return record_by_record

    def _losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The objective of each record as a batch of one."""
        return vmap(lambda z, y: on_copies(self.recipe.objective, z.unsqueeze(0), y.unsqueeze(0)))(outputs, labels)

    def _program(self, arguments: tuple) -> Callable:
        """The clipped sums of all models, as a flat list of tensor operations where the modules are known to be that.

        A sum over another number of records is another program.
        """
        n_records = arguments[2].shape[1]
        if n_records not in self.programs:
            program = vmap(self.clipped_sum)
            if len(self.modules) == 1 or not self.vectorised:
                program = self._model_by_model
            # What it saves a step, convolutions do not notice, and tracing takes as long as several of their steps.
            if self.vectorised and is_tensor_code(self.skeleton) and not has_convolutions(self.skeleton):
                # On copies: a layer that counts its calls in a buffer must not count this one.
                copies = [{n: t.clone() for n, t in part.items()} for part in arguments[:2]]
                plain = program
                rest = (tensor.clone() for tensor in arguments[2:])
                program = make_fx(lambda p, o, x, y, m: plain(p, o, x, y, m))(*copies, *rest)
            self.programs[n_records] = program
        return self.programs[n_records]

    def _model_by_model(self, *stacked) -> tuple[dict[str, Tensor], ...]:
        found = []
        for at in range(len(self.modules)):
            one = [{n: t[at] for n, t in p.items()} if isinstance(p, dict) else p[at] for p in stacked]
            found.append(self.clipped_sum(*one))
        return tuple({n: torch.stack([one[n] for one in part]) for n in part[0]} for part in zip(*found, strict=True))

    def _batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of every model the next batch: inputs (models, batch, ...), labels and mask (models, batch)."""
        taken = [stream.take() for stream in self.streams]
        # As long as the longest draw: the accountant takes it that none is cut.
        longest = max(1, *(len(rows) for rows, _ in taken))
        shape = (len(taken), -(-longest // PADDED_TO) * PADDED_TO)
        rows = np.repeat(np.array([stream.members[0] for stream in self.streams])[:, None], shape[1], axis=1)
        mask, moves = np.zeros(shape, dtype=bool), np.zeros((*shape, 3), dtype=np.int64)
        for model, (drawn, moved) in enumerate(taken):
            rows[model, : len(drawn)], mask[model, : len(drawn)] = drawn, True
            moves[model, : len(drawn), : moved.shape[1]] = moved
        rows, mask, moves = (torch.from_numpy(part).to(self.records.inputs.device) for part in (rows, mask, moves))
        inputs = self.records.batch(rows)
        if self.recipe.augmentation is not None:
            moved = augment(inputs.flatten(0, 1), moves.flatten(0, 1), self.recipe.augmentation)
            inputs = moved.reshape(inputs.shape)
        return inputs, self.records.labels[rows], mask

    def _noised(self, summed: dict[str, Tensor]) -> list[Tensor]:
        """(sum + noise) / batch_size."""
        scale = 1 / self.recipe.batch_size
        for model, (sigma, generator) in enumerate(zip(self.noise_multipliers, self.generators, strict=True)):
            for value in summed.values():
                noise = torch.randn(value.shape[1:], generator=generator, device=value.device, dtype=value.dtype)
                value[model].add_(noise, alpha=sigma * self.max_norm).mul_(scale)
        return list(summed.values())

    def _update(self, gradients: list[Tensor]) -> None:
        parameters, optimiser, recipe = list(self.parameters.values()), self.recipe.optimiser, self.recipe
        factors = [recipe.schedule.factor(stream.epoch(self.steps_done), recipe.epochs) for stream in self.streams]
        alike = len(set(factors)) == 1
        for cut in [slice(None)] if alike else [slice(place, place + 1) for place in range(len(factors))]:
            state = {name: [t[cut] for t in tensors] for name, tensors in self.state.items()}
            lr = optimiser.lr * factors[cut.start or 0]
            optimiser.step([p[cut] for p in parameters], [g[cut] for g in gradients], state, self.steps_done, lr)

    def _refuse_statistics(self, before: dict[str, Tensor]) -> None:
        for name, value in before.items():
            if value.is_floating_point() and not torch.equal(value, self.others[name]):
                raise InputError(
                    f"the buffer '{name}' changed in a training step: what it learns of the records has no noise. "
                    "Take a model without running statistics"
                )


def refuse_other_steps(recipe: Recipe) -> None:
    """Raise where a recipe asks for what noisy steps do not do, or what they would promise too much with."""
    asked = {
        "mixup": recipe.mixup != 0,
        "stop": recipe.stop is not None,
        "an objective that is told the epoch": "epoch" in inspect.signature(recipe.objective).parameters,
    }
    for what in (name for name, there in asked.items() if there):
        raise InputError(f"DP-SGD takes steps on each record's own objective alone, and the recipe has {what}: drop it")


def refuse_mixing(module: nn.Module) -> None:
    """Raise where a layer lets the records of a batch bear on each other, or keeps statistics of them."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.modules.batchnorm._NormBase) and (
            isinstance(layer, nn.modules.batchnorm._BatchNorm) or layer.track_running_stats
        ):
            raise InputError(
                f"DP-SGD clips the gradient of each record, and with {type(layer).__name__} (layer '{name}') the "
                "records of a batch have no gradients of their own: take a model with GroupNorm or LayerNorm"
            )


def is_tensor_code(module: nn.Module) -> bool:
    """Whether all of a module's layers are torch's or ours, whose forward passes are tensor operations alone."""
    return all(type(layer).__module__.startswith(("torch.nn.", "seepage.")) for layer in module.modules())


def _agrees(module: nn.Module, inputs: Tensor, labels: Tensor, losses: Callable) -> bool:
    """Whether book-keeping gives, on these records, the clipped sum that one backward pass for each of them does."""
    module = copy.deepcopy(module).eval()  # dropout draws nothing
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    each = []
    for x, y in zip(inputs, labels, strict=True):
        loss = losses(module(x.unsqueeze(0)), y.unsqueeze(0)).sum()
        alone = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True, materialize_grads=True)
        each.append(torch.cat([g.flatten() for g in alone]))
    norms = torch.stack([g.norm() for g in each])
    max_norm = max(0.5 * norms.min().item(), 1e-9)  # below all of them, so that each norm counts
    expected = sum(g * min(1.0, max_norm / max(norm, 1e-9)) for g, norm in zip(each, norms.tolist(), strict=True))
    detached = {name: p.detach() for name, p in parameters.items()}
    others = {n: t.detach() for n, t in [*module.named_parameters(), *module.named_buffers()] if n not in detached}
    everyone = torch.ones(len(inputs), dtype=torch.bool, device=inputs.device)
    book_keeping = BookKeeping(module, inputs[:1])
    got, _ = book_keeping(lambda z: losses(z, labels), detached, others, inputs, everyone, max_norm)
    got = torch.cat([got[name].flatten() for name in parameters])
    return bool((got - expected).norm() <= 1e-3 * max_norm)


def _generator(seed: int, device: torch.device) -> torch.Generator:
    generator = torch.Generator(device=device)
    return generator.manual_seed(int(np.random.default_rng([seed, 2]).integers(2**62)))
