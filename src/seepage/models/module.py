"""A torch module behind the target: asked in eval mode, left as it was found."""

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from seepage.errors import InputError, unknown_name
from seepage.models.access import Access
from seepage.models.adapters import Adapter
from seepage.models.device import device_of
from seepage.models.outputs import SMALLEST_PROBABILITY
from seepage.models.untrained import is_untrained
from seepage.models.wrapper import Wrapped
from seepage.outside import from_outside

# Per-sample gradients are as large as the model, each, so few fit at once; on a CPU they should also stay in its cache.
GRADIENT_BYTES = 512 << 20
GRADIENT_RECORDS = {"cpu": 16, "cuda": 256}


class Module(Adapter):
    """A torch module that takes one tensor and returns one, (n, classes).

    Args:
        device: answer from a copy on that device; by default the module itself answers, where it is.
    """

    kind = "module"

    def __init__(self, module: nn.Module, outputs: str, device: torch.device | str | None = None):
        tensors = [*module.parameters(), *module.buffers()]
        self._device = device_of(module)
        if device is not None and torch.device(device) != self._device:
            self._device = torch.device(device)
            module = copy.deepcopy(module).to(self._device)
        floating = (tensor.dtype for tensor in tensors if tensor.is_floating_point())
        self._dtype = next(floating, torch.float32)
        self.name, self.outputs, self.module = type(module).__name__, outputs, module
        self.takes_float32 = self._dtype != torch.float64
        self.n_parameters = sum(parameter.numel() for parameter in module.parameters())

    @property
    def ceiling(self) -> Access:
        if isinstance(self.module, Wrapped):  # it protects answers: who has the weights has the module inside
            return Access.LOGITS
        return Access.LABEL if self.outputs == "labels" else Access.WEIGHTS

    @property
    def gives_probabilities(self) -> bool:
        return super().gives_probabilities or (isinstance(self.module, Wrapped) and self.module.gives_probabilities)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Eval mode and no gradients; afterwards every submodule is in the mode that it was in."""
        modes = [(submodule, submodule.training) for submodule in self.module.modules()]
        try:
            with from_outside(f"{self.name} could not be put into eval mode"):
                self.module.eval()
            for submodule, _ in modes:  # also those whose parent overrides train() and leaves them out
                submodule.training = False
            with torch.no_grad():
                yield
        finally:
            with from_outside(f"{self.name} could not be put back into its mode"):
                self.module.train(modes[0][1])
            for submodule, training in modes:
                submodule.training = training

    def answer_for_labels(self, batch: np.ndarray) -> np.ndarray:
        """Without a wrapper that leaves labels as they are and costs a search, say, for everything else."""
        keeps = isinstance(self.module, Wrapped) and self.module.keeps_label
        return self._answer(self.module.module if keeps else self.module, batch)

    def answer(self, batch: np.ndarray) -> np.ndarray:
        return self._answer(self.module, batch)

    def _answer(self, module: nn.Module, batch: np.ndarray) -> np.ndarray:
        output = self._tensor(module(self._inputs(batch)))
        if output.is_floating_point() and output.dtype not in (torch.float32, torch.float64):
            output = output.float()  # NumPy has no bfloat16
        return output.detach().cpu().numpy()

    def gradient_norm(self, batch: np.ndarray, labels: Int64[np.ndarray, "samples"]) -> Float64[np.ndarray, "samples"]:
        """||d loss(x, y) / d weights||, over all parameters, trainable or not; loss is the cross-entropy."""
        return self._norms(batch, labels, lambda gradients: _squared_length(gradients.values()))

    def layer_gradient_norms(
        self, batch: np.ndarray, labels: Int64[np.ndarray, "samples"]
    ) -> Float64[np.ndarray, "samples layers"]:
        """The same for the parameters of each submodule by themselves."""
        layers: dict[str, list[str]] = {}
        for name, _ in self.module.named_parameters():
            layers.setdefault(name.rpartition(".")[0], []).append(name)

        def by_layer(gradients: dict[str, Tensor]) -> Tensor:
            parts = [[gradients[name] for name in names if name in gradients] for names in layers.values()]
            none = torch.zeros((), dtype=torch.float64, device=self._device)
            return torch.stack([none + _squared_length(part) for part in parts])

        return self._norms(batch, labels, by_layer)

    def _norms(self, batch: np.ndarray, labels: np.ndarray, squares: Callable[[dict[str, Tensor]], Tensor]):
        parameters = {name: value.detach() for name, value in self.module.named_parameters()}
        if not parameters:
            raise InputError(f"{self.name} has no parameters, so there are no gradients: leave out what needs them")
        n_bytes = sum(value.numel() * value.element_size() for value in parameters.values())
        most = GRADIENT_RECORDS.get(self._device.type, GRADIENT_RECORDS["cpu"])
        step = int(np.clip(GRADIENT_BYTES // max(1, n_bytes), 1, most))
        inputs, targets = self._inputs(batch), torch.as_tensor(labels, device=self._device)
        leaves = {name: value.requires_grad_() for name, value in parameters.items() if value.is_floating_point()}
        with torch.enable_grad():  # without this check every norm would be 0, and the attacks at chance
            if not self._loss(parameters | leaves, inputs[0], targets[0]).requires_grad:
                raise InputError(
                    f"{self.name} cuts the gradient off (torch.no_grad or detach in its forward?): wrap a module that "
                    "keeps it, or leave out what needs gradients"
                )
        parameters = {name: value.detach() for name, value in parameters.items()}

        def batched(x: Tensor, y: Tensor) -> Tensor:
            return squares(grad(self._loss)(parameters, x, y))

        parts = []
        for x, y in zip(inputs.split(step), targets.split(step), strict=True):
            try:
                parts.append(vmap(batched)(x, y))
            except RuntimeError:  # some operators cannot be batched over records: the same gradients, one by one
                parts.append(
                    torch.stack([squares(self._gradients(parameters, *pair)) for pair in zip(x, y, strict=True)])
                )
        return torch.cat(parts).sqrt().cpu().numpy()

    def features(self, batch: np.ndarray, layer: str | None = None) -> Float32[np.ndarray, "samples features"]:
        """What `layer` gives, one row a record; by default what the linear layer that was called last was given.

        Raises:
            InputError: there is no such layer, or no linear layer was called.
        """
        layers = dict(self.module.named_modules())
        if layer is not None and layer not in layers:
            raise unknown_name("layer", layer, [name for name in layers if name])
        seen: list[Tensor] = []
        if layer is None:
            linear = [module for module in layers.values() if isinstance(module, nn.Linear)]
            hooks = [module.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for module in linear]
        else:
            hooks = [layers[layer].register_forward_hook(lambda _, given, made: seen.append(self._tensor(made)))]
        try:
            self.module(self._inputs(batch))
        finally:
            for hook in hooks:
                hook.remove()
        if not seen:
            wanted = "no linear layer was called" if layer is None else f"its layer '{layer}' was not called"
            raise InputError(f"{self.name} has no features to read, {wanted}: name a layer that is (layer=)")
        return seen[-1].detach().flatten(1).float().cpu().numpy()

    def fingerprint(self) -> str:
        """SHA-256 over names, dtypes, shapes and bytes of the state dict, in its order."""
        digest = hashlib.sha256()
        for name, value in self.module.state_dict().items():
            if isinstance(value, Tensor):
                digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
                digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def is_untrained(self) -> bool:
        return is_untrained(self.module)

    def _inputs(self, batch: np.ndarray) -> Tensor:
        if batch.dtype.kind not in "fiub":
            raise InputError(f"a torch module takes numbers, got inputs of dtype {batch.dtype}")
        # A copy, so that a read-only memory map is neither written through nor warned about.
        floats = np.array(batch, dtype=np.result_type(batch.dtype, np.float32))
        return torch.from_numpy(floats).to(self._device, self._dtype)

    def _tensor(self, output: object) -> Tensor:
        if not isinstance(output, Tensor):
            raise InputError(
                f"{self.name} returned a {type(output).__name__}, expected one tensor (n, classes): "
                "wrap a module whose forward picks it out"
            )
        return output

    def _loss(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        output = self._tensor(functional_call(self.module, parameters, (x[None],)))
        binary = output.ndim == 1 or output.shape[-1] == 1
        output = output.reshape(1, -1)
        if self.outputs == "probabilities":
            output = torch.cat([1 - output, output], dim=1) if binary else output
            return F.nll_loss(output.double().clamp(min=SMALLEST_PROBABILITY).log(), y[None])
        output = torch.cat([torch.zeros_like(output), output], dim=1) if binary else output
        return F.cross_entropy(output, y[None])

    def _gradients(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        with torch.enable_grad():
            loss = self._loss(leaves, x, y)
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        return {name: one for name, one in zip(leaves, gradients, strict=True) if one is not None}


def _squared_length(gradients: Iterable[Tensor]) -> Tensor:
    """Summed in float64, without a copy of the gradients in it."""
    return sum(torch.linalg.vector_norm(gradient, dtype=torch.float64).square() for gradient in gradients)
