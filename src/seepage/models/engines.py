"""The two training engines: one model by itself, and many models stacked in one program.

Both train the same models: initial weights, batches, augmentation and dropout masks are drawn from each
model's own seed, and both step the same optimiser functions. They differ in the order of floating-point
sums only, by no more than the tolerance that the tests state.
"""

import copy
import inspect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from seepage.errors import InputError, TrainingError
from seepage.models.batches import Stream, augment
from seepage.models.held_out import HeldOut
from seepage.models.objectives import on_copies
from seepage.models.recipe import BestValidation, Recipe, StopAt
from seepage.models.records import Records
from seepage.models.stopping import EVALUATION_BATCH, BestEpoch, EpochAccuracy, validation_accuracy
from seepage.models.tracing import traced

# Steps whose batches are laid out at once: few enough to stay small, many enough to cost nothing.
BLOCK = 64


class Training(ABC):
    """Some models on their way: `step()` until `steps_left` is 0, then `models()`."""

    def __init__(
        self,
        recipe: Recipe,
        records: Records,
        columns: Sequence[np.ndarray],
        seeds: Sequence[int],
        held_out: HeldOut | None = None,
    ):
        for column in columns:
            if len(column) == 0:
                raise InputError("a model needs at least one member to be trained on, got an empty membership column")
        if recipe.augmentation is not None and len(records.input_shape) != 3:
            raise InputError(
                "Recipe: augmentation needs images (channels, height, width), got records of shape "
                f"{records.input_shape}: leave it out, or reshape the pool's inputs"
            )
        self.recipe, self.records = recipe, records
        self.validation: Tensor | None = None
        if isinstance(recipe.stop, BestValidation):
            rows = (held_out or HeldOut()).need("validation", 1, "choosing the epoch by validation accuracy")
            self.validation = torch.from_numpy(rows).to(records.inputs.device)
        self.takes_epoch = "epoch" in inspect.signature(recipe.objective).parameters
        self.streams = [Stream(column, recipe, seed) for column, seed in zip(columns, seeds, strict=True)]
        self.steps_done = 0
        self.steps_left = max(stream.n_steps for stream in self.streams)
        self._begin(seeds)

    @abstractmethod
    def _begin(self, seeds: Sequence[int]) -> None:
        """Build the models."""

    @abstractmethod
    def step(self) -> None: ...

    @abstractmethod
    def models(self) -> list[nn.Module]:
        """The trained models, in the order of the columns, in eval mode."""

    def lr(self, stream: Stream) -> float:
        factor = self.recipe.schedule.factor(stream.epoch(self.steps_done), self.recipe.epochs)
        return self.recipe.optimiser.lr * factor

    def loss(self, logits: Tensor, labels: Tensor, epoch: Tensor, mix: Tensor) -> Tensor:
        """The objective of a batch, of one that was mixed with its own reverse where the recipe says so."""
        objective = self.recipe.objective
        told = {"epoch": epoch} if self.takes_epoch else {}
        loss = on_copies(objective, logits, labels, **told)
        if not self.recipe.mixup:
            return loss
        return mix * loss + (1 - mix) * on_copies(objective, logits, labels.flip(0), **told)

    def run(self, report: Callable[[float], None] = lambda fraction: None) -> list[nn.Module]:
        n_steps = self.steps_left
        while self.steps_left:
            self.step()
            if self.steps_done % BLOCK == 0:
                report(min(1.0, self.steps_done / n_steps))
        return self.models()


class Single(Training):
    """One model: the plain loop, on tensors that stay in memory."""

    def _begin(self, seeds: Sequence[int]) -> None:
        if len(seeds) != 1:
            raise InputError(f"the one-by-one engine trains one model, got {len(seeds)} columns")
        recipe, records, device = self.recipe, self.records, self.records.inputs.device
        self.seed = seeds[0]
        self.module = recipe.build(records.input_shape, records.n_classes, seeds[0]).to(device).train()
        self.layout = torch.channels_last if has_convolutions(self.module) else torch.contiguous_format
        self.module.to(memory_format=self.layout)
        self.parameters = [p for p in self.module.parameters() if p.requires_grad]
        self.state = recipe.optimiser.initial_state(self.parameters)
        self.accuracy = EpochAccuracy(1)
        self.best = None if self.validation is None else BestEpoch(recipe.stop, 1)
        self.block: tuple[Tensor, Tensor, Tensor] | None = None

    def run(self, report: Callable[[float], None] = lambda fraction: None) -> list[nn.Module]:
        # A module of the user's own may draw from torch's global generator whenever it is called.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return super().run(report)

    def step(self) -> None:
        stream, offset = self.streams[0], self.steps_done % BLOCK
        if offset == 0:
            device = self.records.inputs.device
            parts = (*stream.take(BLOCK), stream.mix(BLOCK))
            self.block = tuple(torch.from_numpy(part).to(device) for part in parts)
        indices, moves, mix = self.block
        epoch = stream.epoch(self.steps_done)
        inputs, labels = self.records.batch(indices[offset]), self.records.labels[indices[offset]]
        if self.recipe.augmentation is not None:
            inputs = augment(inputs, moves[offset], self.recipe.augmentation)
        if self.recipe.mixup:
            inputs = mix[offset] * inputs + (1 - mix[offset]) * inputs.flip(0)
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=self.layout)
        logits = self.module(inputs)
        loss = self.loss(logits, labels, torch.tensor(epoch, device=labels.device), mix[offset])
        # A parameter that the logits do not depend on has gradient zero, as under `torch.func.grad`.
        gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            if self.recipe.reset_optimiser and self.steps_done and epoch != stream.epoch(self.steps_done - 1):
                for tensors in self.state.values():
                    torch._foreach_zero_(tensors)
            self.recipe.optimiser.step(self.parameters, list(gradients), self.state, self.steps_done, self.lr(stream))
        self.steps_left -= 1
        if isinstance(self.recipe.stop, StopAt):
            self.accuracy.add([(logits.argmax(1) == labels).sum().item()], stream.batch_size)
            if self.accuracy.ends(0, stream, self.steps_done, self.recipe.stop.accuracy):
                self.steps_left = 0
        elif self.best is not None and (stream.epoch(self.steps_done + 1) != epoch or not self.steps_left):
            accuracy = validation_accuracy(self.module, self.records, self.validation)
            if self.best.offer(0, accuracy, self.module.state_dict):
                self.steps_left = 0
        self.steps_done += 1

    def models(self) -> list[nn.Module]:
        if self.best is not None:
            self.module.load_state_dict(self.best.state[0])
        return [_finished(self.module.to(memory_format=torch.contiguous_format))]


class Stacked(Training):
    """Many models in one program: parameters, buffers and optimiser state with a leading axis of models.

    The gradients of all models, `vmap(grad(loss))`, are traced once into a flat list of tensor operations
    and replayed in each step: the same operations in the same order, without the cost of transforming them
    anew each time.

    A model's state is taken when its last step is done. It then rides along unused until half of the stack
    is done, when the stack is cut down to the rest: columns of different size and stopping rules cost little
    idle arithmetic and no padding. Models are ordered by size, so those that share a learning rate are
    neighbours, and a step of the optimiser is one call for each run of them.
    """

    def _begin(self, seeds: Sequence[int]) -> None:
        recipe, records, device = self.recipe, self.records, self.records.inputs.device
        self.modules = [recipe.build(records.input_shape, records.n_classes, s).to(device).train() for s in seeds]
        self.order = sorted(range(len(seeds)), key=lambda model: -self.streams[model].n_steps)
        self.running = list(self.order)
        self._learn_sizes()
        self.skeleton = copy.deepcopy(self.modules[0])
        parameters, self.buffers = stack_module_state([self.modules[model] for model in self.order])
        trained = {name for name, p in self.modules[0].named_parameters() if p.requires_grad}
        self.frozen = {name: p.detach() for name, p in parameters.items() if name not in trained}
        self.parameters = {name: p.detach().clone() for name, p in parameters.items() if name in trained}
        self.state = recipe.optimiser.initial_state(list(self.parameters.values()))
        self.accuracy = EpochAccuracy(len(seeds))
        self.best = None if self.validation is None else BestEpoch(recipe.stop, len(seeds))
        self.program: Callable | None = None
        self.block: tuple[Tensor, Tensor, Tensor] | None = None
        self.block_start = 0

    def step(self) -> None:
        arguments = (self.parameters, self.frozen, self.buffers, *self._batch())
        if self.program is None:
            # Traced on a copy: calls that are no steps must not count for a module that counts its calls.
            copied = copy.deepcopy(self.skeleton)
            self.program = traced(self._gradients(copied), copied, arguments) or self._gradients(self.skeleton)
        with torch.no_grad():
            gradients, (self.buffers, hits) = self.program(*arguments)
            self._update(list(gradients.values()))
        if isinstance(self.recipe.stop, StopAt):
            self.accuracy.add(hits.tolist(), self.recipe.batch_size)
        # Models are ordered by size: without a stopping rule the last one running is the first to end.
        if self.recipe.stop is not None or self.steps_done + 1 == self.streams[self.running[-1]].n_steps:
            self._take_out()
        self.steps_done += 1
        self.steps_left = max((self.streams[m].n_steps for m in self.running), default=0)
        self.steps_left = max(0, self.steps_left - self.steps_done)
        if self.running and 2 * len(self.running) <= len(self.order):
            self._cut_down()

    def _gradients(self, skeleton: nn.Module) -> Callable:
        counts_hits = isinstance(self.recipe.stop, StopAt)

        def loss(parameters, frozen, buffers, inputs, labels, epoch, mix):
            state = {**parameters, **frozen, **buffers}
            logits = functional_call(skeleton, state, (inputs,))
            # Buffers that a layer updates in place (BatchNorm's statistics) or assigns anew, which the call writes
            # back into `state`, come back as auxiliary output.
            updated = {name: state[name] for name in buffers}
            hits = (logits.argmax(1) == labels).sum() if counts_hits else labels.new_zeros(())
            return self.loss(logits, labels, epoch, mix), (updated, hits)

        return vmap(grad(loss, has_aux=True), randomness="error")

    def _batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The next batch of every model: inputs (models, batch, ...), labels (models, batch), epoch and share of mixup
        (models,)."""
        if self.block is None or self.steps_done - self.block_start == BLOCK:
            streams = [self.streams[model] for model in self.order]
            taken = [(*stream.take(BLOCK), stream.mix(BLOCK)) for stream in streams]
            device = self.records.inputs.device
            self.block = tuple(torch.from_numpy(np.stack(part, axis=1)).to(device) for part in zip(*taken, strict=True))
            self.block_start = self.steps_done
        offset = self.steps_done - self.block_start
        indices, moves, mix = self.block[0][offset], self.block[1], self.block[2][offset]
        inputs, labels = self.records.batch(indices), self.records.labels[indices]
        if self.recipe.augmentation is not None:
            moved = augment(inputs.flatten(0, 1), moves[offset].flatten(0, 1), self.recipe.augmentation)
            inputs = moved.reshape(inputs.shape)
        if self.recipe.mixup:
            share = mix.view(-1, *(1 for _ in inputs.shape[1:]))
            inputs = share * inputs + (1 - share) * inputs.flip(1)
        epochs = torch.from_numpy(self._epochs(self.steps_done)).to(inputs.device)
        return inputs, labels, epochs, mix

    def _epochs(self, step: int) -> np.ndarray:
        """(models,) the pass of each model in which a step begins."""
        return step * self.recipe.batch_size // self.sizes

    def _update(self, gradients: list[Tensor]) -> None:
        parameters = list(self.parameters.values())
        epochs = self._epochs(self.steps_done)
        if self.epochs is None or not np.array_equal(epochs, self.epochs):
            if self.recipe.reset_optimiser and self.steps_done:
                begun = torch.from_numpy(np.flatnonzero(epochs != self._epochs(self.steps_done - 1)))
                for tensor in itertools.chain(*self.state.values()):
                    tensor[begun] = 0
            self.epochs = epochs
            lrs = [self.lr(self.streams[model]) for model in self.order]
            ends = [place + 1 for place, lr in enumerate(lrs) if [*lrs, None][place + 1] != lr]
            self.runs = [(start, end, lrs[start]) for start, end in itertools.pairwise([0, *ends])]
        for start, end, lr in self.runs:

            def cut(tensors: list[Tensor], start=start, end=end) -> list[Tensor]:
                return tensors if end - start == len(self.order) else [t[start:end] for t in tensors]

            state = {name: cut(tensors) for name, tensors in self.state.items()}
            self.recipe.optimiser.step(cut(parameters), cut(gradients), state, self.steps_done, lr)

    def _take_out(self) -> None:
        """Take the state of every model for which this was the last step."""
        stop = self.recipe.stop
        state = {**self.parameters, **self.frozen, **self.buffers}
        validated = self._validated(state) if self.best is not None else {}
        for place, model in enumerate(self.order):
            stream = self.streams[model]
            stopped = isinstance(stop, StopAt) and self.accuracy.ends(place, stream, self.steps_done, stop.accuracy)
            if place in validated:
                stopped = self.best.offer(
                    model, validated[place], lambda place=place: {n: t[place] for n, t in state.items()}
                )
            if model in self.running and (stopped or self.steps_done + 1 == stream.n_steps):
                last = {n: t[place] for n, t in state.items()} if self.best is None else self.best.state[model]
                self.modules[model].load_state_dict(last, strict=False)
                self.running.remove(model)

    def _validated(self, state: dict[str, Tensor]) -> dict[int, float]:
        """Place of each running model whose pass ends with this step -> its validation accuracy."""
        step = self.steps_done
        ended = self._epochs(step + 1) != self._epochs(step)
        ended |= np.array([step + 1 == self.streams[model].n_steps for model in self.order])
        places = [place for place, model in enumerate(self.order) if ended[place] and model in self.running]
        if not places:
            return {}
        skeleton = copy.deepcopy(self.skeleton).eval()
        cut = {name: tensor[places] for name, tensor in state.items()}
        hits = torch.zeros(len(places), device=self.records.inputs.device)
        with torch.no_grad():
            for rows in self.validation.split(EVALUATION_BATCH):
                inputs = self.records.batch(rows)
                logits = vmap(lambda s, x=inputs: functional_call(skeleton, s, (x,)))(cut)
                hits += (logits.argmax(-1) == self.records.labels[rows]).sum(1)
        return dict(zip(places, (hits / len(self.validation)).tolist(), strict=True))

    def _learn_sizes(self) -> None:
        self.sizes = np.array([len(self.streams[model].members) for model in self.order])
        self.epochs: np.ndarray | None = None  # the pass that each model is in, and runs of equal learning rate
        self.runs: list[tuple[int, int, float]] = []

    def _cut_down(self) -> None:
        places = [place for place, model in enumerate(self.order) if model in self.running]
        self.order = [self.order[place] for place in places]
        self._learn_sizes()
        at = torch.tensor(places, device=self.records.inputs.device)
        for group in (self.parameters, self.frozen, self.buffers):
            for name in group:
                group[name] = group[name].index_select(0, at)
        self.state = {name: [t.index_select(0, at) for t in tensors] for name, tensors in self.state.items()}
        self.block = tuple(part.index_select(1, at) for part in self.block)
        self.accuracy.keep(places)
        self.program = None

    def models(self) -> list[nn.Module]:
        return [_finished(module) for module in self.modules]


class Composite:
    """Models that a procedure trains: it calls the engines itself, or takes steps of its own."""

    def __init__(
        self,
        recipe: Recipe,
        records: Records,
        columns: Sequence[np.ndarray],
        seeds: Sequence[int],
        held_out: HeldOut | None = None,
    ):
        self.arguments = (replace(recipe, procedure=None, wrapper=None), records, columns, seeds, held_out or HeldOut())
        self.procedure = recipe.procedure

    def run(self, report: Callable[[float], None] = lambda fraction: None) -> list[nn.Module]:
        return [_finished(module) for module in self.procedure.train(*self.arguments, report)]


ENGINES: dict[str, type] = {"single": Single, "stacked": Stacked, "procedure": Composite}


def has_convolutions(module: nn.Module) -> bool:
    return any(isinstance(layer, nn.Conv2d) for layer in module.modules())


def _finished(module: nn.Module) -> nn.Module:
    if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
        raise TrainingError(
            "a training diverged: its weights are no longer finite. Expected a recipe whose loss stays finite; "
            "try a smaller learning rate"
        )
    return module.eval()
