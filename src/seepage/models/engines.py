"""The two training engines: one model by itself, and many models stacked in one program.

Both train the same models: initial weights, batches, augmentation and dropout masks are drawn from each
model's own seed, and both step the same optimiser functions. They differ in the order of floating-point
sums only, by no more than the tolerance that the tests state.
"""

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import cloudpickle
import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves

from seepage.errors import InputError, TrainingError
from seepage.models.batches import Records, Stream, augment
from seepage.models.recipe import Recipe

# Steps whose batches are laid out at once: few enough to stay small, many enough to cost nothing.
BLOCK = 64


class Training(ABC):
    """Some models on their way: `step()` until `steps_left` is 0, then `models()`."""

    def __init__(self, recipe: Recipe, records: Records, columns: Sequence[np.ndarray], seeds: Sequence[int]):
        for column in columns:
            if len(column) == 0:
                raise InputError("a model needs at least one member to be trained on, got an empty membership column")
        if recipe.augmentation is not None and len(records.input_shape) != 3:
            raise InputError(
                "Recipe: augmentation needs images (channels, height, width), got records of shape "
                f"{records.input_shape}: leave it out, or reshape the pool's inputs"
            )
        self.recipe, self.records = recipe, records
        self.streams = [Stream(column, recipe, seed) for column, seed in zip(columns, seeds, strict=True)]
        self.steps_done = 0
        self.steps_left = max(stream.n_steps for stream in self.streams)

    @abstractmethod
    def step(self) -> None: ...

    @abstractmethod
    def models(self) -> list[nn.Module]:
        """The trained models, in the order of the columns, in eval mode."""

    def lr(self, stream: Stream) -> float:
        factor = self.recipe.schedule.factor(stream.epoch(self.steps_done), self.recipe.epochs)
        return self.recipe.optimiser.lr * factor

    def run(self, report: Callable[[float], None] = lambda fraction: None) -> list[nn.Module]:
        n_steps = self.steps_left
        while self.steps_left:
            self.step()
            if self.steps_done % BLOCK == 0:
                report(min(1.0, self.steps_done / n_steps))
        return self.models()


class _Accuracy:
    """Training accuracy of each model within its present pass, for the stopping rule."""

    def __init__(self, n_models: int):
        self.hits, self.seen = [0.0] * n_models, [0] * n_models

    def add(self, hits: Sequence[float], batch_size: int) -> None:
        for model, hit in enumerate(hits):
            self.hits[model] += hit
            self.seen[model] += batch_size

    def ends(self, model: int, stream: Stream, step: int, threshold: float) -> bool:
        if stream.epoch(step + 1) == stream.epoch(step):
            return False
        accuracy = self.hits[model] / self.seen[model]
        self.hits[model], self.seen[model] = 0.0, 0
        return accuracy >= threshold

    def keep(self, models: Sequence[int]) -> None:
        self.hits, self.seen = [self.hits[m] for m in models], [self.seen[m] for m in models]


class Single(Training):
    """One model: the plain loop, on tensors that stay in memory."""

    def __init__(self, recipe: Recipe, records: Records, columns: Sequence[np.ndarray], seeds: Sequence[int]):
        super().__init__(recipe, records, columns, seeds)
        if len(columns) != 1:
            raise InputError(f"the one-by-one engine trains one model, got {len(columns)} columns")
        device = records.inputs.device
        self.seed = seeds[0]
        self.module = recipe.build(records.input_shape, records.n_classes, seeds[0]).to(device).train()
        self.layout = torch.channels_last if has_convolutions(self.module) else torch.contiguous_format
        self.module.to(memory_format=self.layout)
        self.parameters = [p for p in self.module.parameters() if p.requires_grad]
        self.state = recipe.optimiser.initial_state(self.parameters)
        self.accuracy = _Accuracy(1)
        self.block: tuple[Tensor, Tensor] | None = None

    def run(self, report: Callable[[float], None] = lambda fraction: None) -> list[nn.Module]:
        # A module of the user's own may draw from torch's global generator whenever it is called.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return super().run(report)

    def step(self) -> None:
        stream, offset = self.streams[0], self.steps_done % BLOCK
        if offset == 0:
            indices, moves = stream.take(BLOCK)
            device = self.records.inputs.device
            self.block = torch.from_numpy(indices).to(device), torch.from_numpy(moves).to(device)
        indices, moves = self.block
        inputs, labels = self.records.batch(indices[offset]), self.records.labels[indices[offset]]
        if self.recipe.augmentation is not None:
            inputs = augment(inputs, moves[offset], self.recipe.augmentation)
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=self.layout)
        logits = self.module(inputs)
        loss = self.recipe.objective(logits, labels)
        # A parameter that the logits do not depend on has gradient zero, as under `torch.func.grad`.
        gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            self.recipe.optimiser.step(self.parameters, list(gradients), self.state, self.steps_done, self.lr(stream))
        self.steps_left -= 1
        if self.recipe.stop is not None:
            self.accuracy.add([(logits.argmax(1) == labels).sum().item()], stream.batch_size)
            if self.accuracy.ends(0, stream, self.steps_done, self.recipe.stop.accuracy):
                self.steps_left = 0
        self.steps_done += 1

    def models(self) -> list[nn.Module]:
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

    def __init__(self, recipe: Recipe, records: Records, columns: Sequence[np.ndarray], seeds: Sequence[int]):
        super().__init__(recipe, records, columns, seeds)
        device = records.inputs.device
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
        self.accuracy = _Accuracy(len(seeds))
        self.program: Callable | None = None
        self.block: tuple[Tensor, Tensor] | None = None
        self.block_start = 0

    def step(self) -> None:
        inputs, labels = self._batch()
        arguments = (self.parameters, self.frozen, self.buffers, inputs, labels)
        if self.program is None:
            # Traced on a copy: calls that are no steps must not count for a module that counts its calls.
            copied = copy.deepcopy(self.skeleton)
            self.program = _traced(self._gradients(copied), copied, arguments) or self._gradients(self.skeleton)
        with torch.no_grad():
            gradients, (self.buffers, hits) = self.program(*arguments)
            self._update(list(gradients.values()))
        if self.recipe.stop is not None:
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
        def loss(parameters, frozen, buffers, inputs, labels):
            state = {**parameters, **frozen, **buffers}
            logits = functional_call(skeleton, state, (inputs,))
            # Buffers that a layer updates in place (BatchNorm's statistics) or assigns anew, which the call writes
            # back into `state`, come back as auxiliary output.
            updated = {name: state[name] for name in buffers}
            hits = labels.new_zeros(()) if self.recipe.stop is None else (logits.argmax(1) == labels).sum()
            return self.recipe.objective(logits, labels), (updated, hits)

        return vmap(grad(loss, has_aux=True), randomness="error")

    def _batch(self) -> tuple[Tensor, Tensor]:
        """The next batch of every model: (models, batch, ...) and (models, batch)."""
        if self.block is None or self.steps_done - self.block_start == BLOCK:
            taken = [self.streams[model].take(BLOCK) for model in self.order]
            device = self.records.inputs.device
            self.block = tuple(torch.from_numpy(np.stack(part, axis=1)).to(device) for part in zip(*taken, strict=True))
            self.block_start = self.steps_done
        offset = self.steps_done - self.block_start
        indices, moves = self.block[0][offset], self.block[1]
        inputs, labels = self.records.batch(indices), self.records.labels[indices]
        if self.recipe.augmentation is not None:
            moved = augment(inputs.flatten(0, 1), moves[offset].flatten(0, 1), self.recipe.augmentation)
            inputs = moved.reshape(inputs.shape)
        return inputs, labels

    def _update(self, gradients: list[Tensor]) -> None:
        parameters = list(self.parameters.values())
        epochs = self.steps_done * self.recipe.batch_size // self.sizes
        if self.epochs is None or not np.array_equal(epochs, self.epochs):
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
        for place, model in enumerate(self.order):
            stream = self.streams[model]
            stopped = stop is not None and self.accuracy.ends(place, stream, self.steps_done, stop.accuracy)
            if model in self.running and (stopped or self.steps_done + 1 == stream.n_steps):
                self.modules[model].load_state_dict({n: t[place] for n, t in state.items()}, strict=False)
                self.running.remove(model)

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


def _traced(function: Callable, module: nn.Module, arguments: tuple) -> Callable | None:
    """The function, which calls `module`, as a flat program for arguments of these shapes; None where it cannot be.

    A program replays tensor operations alone. A module whose Python code does something else in each call
    would be replayed wrongly, so no call may change a Python attribute of the module, and the program must
    agree with the function on arguments it was not traced on.
    """

    def copies(scale: float) -> tuple:
        parameters, frozen, buffers, inputs, labels = arguments
        clone = [{name: t.clone() for name, t in group.items()} for group in (parameters, frozen, buffers)]
        return (*clone, inputs * scale, labels)

    try:
        # The tracer counts the arguments of what it is given: a bound method has one more than it takes.
        before = _attributes(module)
        program = make_fx(lambda p, f, b, x, y: function(p, f, b, x, y))(*copies(1.0))
        if _attributes(module) != before:
            return None
    except Exception:  # whatever the tracer cannot follow, vmap alone still does (or raises for itself)
        return None
    with torch.no_grad():
        for scale in (0.5, 0.25):
            ours, theirs = tree_leaves(program(*copies(scale))), tree_leaves(function(*copies(scale)))
            if not all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)):
                return None
    return program


def _attributes(module: nn.Module) -> bytes:
    """All that a module's layers hold but their tensors, to see whether a call changed it."""
    tensors = ("_parameters", "_buffers", "_modules")
    layers = [{n: value for n, value in vars(m).items() if n not in tensors} for m in module.modules()]
    return cloudpickle.dumps(layers)


ENGINES: dict[str, type[Training]] = {"single": Single, "stacked": Stacked}


def has_convolutions(module: nn.Module) -> bool:
    return any(isinstance(layer, nn.Conv2d) for layer in module.modules())


def _finished(module: nn.Module) -> nn.Module:
    if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
        raise TrainingError(
            "a training diverged: its weights are no longer finite. Expected a recipe whose loss stays finite; "
            "try a smaller learning rate"
        )
    return module.eval()
