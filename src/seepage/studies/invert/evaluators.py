"""Who says what a reconstruction shows: a model apart from the attacked one, which no attack saw."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.errors import DataFileError, InputError, MissingExtraError
from seepage.models.module import Module
from seepage.models.target import TargetModel
from seepage.models.wrapper import Wrapped

Images = Float[Tensor, "images channels height width"]  # values in [0, 1]

FACE_SIDE, FACE_CHANNELS, FULL = 112, 3, 255.0
SCALE = 64.0


class Evaluator(ABC):
    """A judge.

    Its classes are the private ones, and from there on public ones that it knows as well: an image of a private class
    is a hit only if that class is the likeliest of all of them.

    Attributes:
        name: for people.
        about: how it came to know the classes, in words.
        public: the labelled public images that it learnt its public classes by, in [0, 1]; None where it knows none, or
            where the study gave it some.
        rejects: whether an image must be near enough to its class as well, though it be the nearest; a judge that knows
            private classes alone always rejects.
        threshold: of `nearness`, below which its makers take two images for two people.
    """

    name: str
    about: str
    public: Images | None = None
    rejects: bool = False
    threshold: float = -np.inf

    @abstractmethod
    def look(
        self, images: Images
    ) -> tuple[Float32[np.ndarray, "images classes"], Float32[np.ndarray, "images features"]]:
        """Log-probabilities of the classes, and features in which distances are taken."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Of all that its answers depend on: features compare where it is the same."""

    def nearness(
        self, log_probabilities: Float32[np.ndarray, "images classes"], features: Float32[np.ndarray, "images features"]
    ) -> Float32[np.ndarray, "images classes"]:
        """How near each image is to each class, higher is nearer: what a threshold is set on."""
        return log_probabilities

    def log_probabilities(self, images: Images) -> Float32[np.ndarray, "images classes"]:
        return self.look(images)[0]

    def features(self, images: Images) -> Float32[np.ndarray, "images features"]:
        return self.look(images)[1]


class Trained(Evaluator):
    """A torch classifier of the private classes, trained apart from the target.

    Args:
        module: images in [0, 1] -> logits, of the private classes first and then of public ones, if it knows some. It
            answers where it is and stays as it is.
        name: by default the module's class.
        about: how it was trained.
        layer: whose output the features are; by default what the last linear layer is given.
        outputs: "logits" or "probabilities".
        public: the public images that it was trained on, in [0, 1], where it knows public classes: none of them may be
            among those that attacks select from.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        name: str | None = None,
        about: str = "a classifier trained apart from the target",
        layer: str | None = None,
        outputs: str = "logits",
        public: Images | None = None,
    ):
        self.module, self.name, self.about = module, name or type(module).__name__, about
        self.public = public
        self._model, self._layer = TargetModel.wrap(module, outputs=outputs), layer

    def look(self, images: Images):
        given = _checked(images).numpy()
        logits = torch.from_numpy(self._model.logits(given))
        return logits.log_softmax(1).numpy(), self._model.features(given, self._layer)

    @property
    def fingerprint(self) -> str:
        return self._model.fingerprint


@dataclass(frozen=True, eq=False)
class Embedder(Evaluator):
    """A face recogniser that knows nobody beforehand: an ONNX graph, (1, 3, 112, 112) -> (1, features).

        e(x) = graph(255 x) / ||graph(255 x)||,   m_c = the mean of e over real images of c, normalised,
        log p(c | x) = log softmax_c(s m_c . e(x)),  s = 64

    Images are resized to 112 x 112 (bilinear, antialiased), grey ones repeated for red, green and blue. The scale s
    spreads the probabilities and changes no ranking; 64 is what such networks are trained with. Features are e(x).

    `Embedder.open(path)` and then `fit` give one that judges.

    Attributes:
        session: what runs the graph (`onnxruntime.InferenceSession`), or anything like it.
        graph: SHA-256 of the file.
        centroids: (classes, features), m_c; None before `fit`.
        threshold: of cos(e(x), m_c), below which two photographs are of two people to the network's makers: 0.363 for
            SFace in OpenCV. Means of several photographs are nearer to everybody than one photograph is, so a study
            raises it to what real photographs reach.

    Reference: Zhong et al. (2021), SFace, IEEE TIP 30, for the network that OpenCV distributes; OpenCV's
        FaceRecognizerSF for its input (red, green, blue, 0 to 255, no mean taken off); Deng et al. (2019), ArcFace,
        section 3.1, for s.
    Deviation: faces are not aligned by landmarks: a reconstruction may have none that a detector finds.
    """

    session: Any
    graph: str
    name: str = "SFace"
    about: str = "a face recogniser trained on other people; a class is the mean embedding of its real images"
    centroids: Float32[np.ndarray, "classes features"] | None = None
    threshold: float = 0.363
    rejects: ClassVar[bool] = True

    @classmethod
    def open(cls, path: str | Path, **about: Any) -> Embedder:
        """The graph of an ONNX file, which one core runs.

        Args:
            about: `name`, `about` and `threshold` (-1: none is known), where it is another network.

        Raises:
            MissingExtraError: ONNX Runtime is not installed.
            DataFileError: there is no such file, or it is not a graph of that shape.
        """
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtraError("onnxruntime", "onnx", "a face recogniser as the judge") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # it warns of every weight that is also listed as an input
        try:
            content = Path(path).read_bytes()
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except OSError as error:
            raise DataFileError(f"cannot read the judge {path}: {error.strerror}") from None
        except Exception as error:  # ONNX Runtime has a class of its own for each, below Exception alone
            raise DataFileError(f"the judge {path} is not an ONNX graph that can be run: {error}") from None
        shape = session.get_inputs()[0].shape
        if len(session.get_inputs()) != 1 or list(shape[-3:]) != [FACE_CHANNELS, FACE_SIDE, FACE_SIDE]:
            raise DataFileError(
                f"expected a judge with one input of shape (1, {FACE_CHANNELS}, {FACE_SIDE}, {FACE_SIDE}), {path} "
                f"takes {shape}"
            )
        return cls(session, hashlib.sha256(content).hexdigest(), **about)

    def fit(self, images: Images, labels: Int[np.ndarray, " images"], n_classes: int) -> Embedder:
        """The same recogniser, acquainted with the classes by their real images.

        Raises:
            InputError: a class has no image, or a label is none of them.
        """
        labels = np.asarray(labels)
        if labels.shape != (len(images),) or labels.min() < 0 or labels.max() >= n_classes:
            raise InputError(f"expected one label from 0 to {n_classes - 1} an image, for {len(images)} images")
        missing = np.setdiff1d(np.arange(n_classes), labels)
        if len(missing):
            raise InputError(f"the judge has no real image of class {missing[0]}: give it at least one of every class")
        embedded = self.embed(images)
        means = np.stack([embedded[labels == c].mean(axis=0) for c in range(n_classes)])
        return replace(self, centroids=_normalised(means))

    def nearness(self, log_probabilities, features):
        """cos(e(x), m_c)."""
        return features @ self.centroids.T

    def embed(self, images: Images) -> Float32[np.ndarray, "images features"]:
        """e(x), of length 1."""
        name = self.session.get_inputs()[0].name
        return _normalised(np.stack([self.session.run(None, {name: face})[0][0] for face in _faces(images)]))

    def look(self, images: Images):
        if self.centroids is None:
            raise InputError("the judge knows no class yet: call fit(images, labels, n_classes)")
        embedded = self.embed(images)
        return torch.from_numpy(SCALE * embedded @ self.centroids.T).log_softmax(1).numpy(), embedded

    @property
    def fingerprint(self) -> str:
        known = b"" if self.centroids is None else np.ascontiguousarray(self.centroids).tobytes()
        return hashlib.sha256(self.graph.encode() + known).hexdigest()


def evaluator_checks(evaluator: Evaluator, target: nn.Module) -> list[str]:
    """What speaks for the judge's independence of the target, a sentence each.

    Raises:
        InputError: the judge is the target, or all its weights are the target's: an image made to convince the target
            would convince it too.
    """
    inside = target.module if isinstance(target, Wrapped) else target
    if not isinstance(evaluator, Trained):
        return [f"{evaluator.name} is no copy of the target: it was trained on other data, and no attack asks it."]
    module = evaluator.module.module if isinstance(evaluator.module, Wrapped) else evaluator.module
    own, theirs = _weights(module), _weights(inside)
    same = Module(module, "logits").fingerprint() == Module(inside, "logits").fingerprint()
    if module is inside or same or (own and own <= theirs):
        raise InputError(
            f"the judge is the attacked model ({evaluator.name}): train one apart, from other initial weights"
        )
    shared = len(own & theirs)
    sentences = [
        f"Of the judge's {len(own)} weight tensors {shared or 'none'} {'are' if shared > 1 else 'is'} the target's."
    ]
    if shared:
        sentences.append("Where layers are shared, images that only fool the target may fool the judge as well.")
    if type(module) is type(inside) and _shapes(module) == _shapes(inside):
        sentences.append(
            f"It has the target's architecture ({type(module).__name__}): adversarial examples carry over more easily."
        )
    else:
        sentences.append("Its architecture is not the target's.")
    return sentences


def _weights(module: nn.Module) -> set[str]:
    """SHA-256 of each parameter; not of constant ones, which start alike (biases of zero)."""
    values = [parameter.detach().cpu() for parameter in module.parameters()]
    return {
        hashlib.sha256(value.contiguous().reshape(-1).view(torch.uint8).numpy()).hexdigest()
        for value in values
        if value.numel() > 1 and not bool((value == value.reshape(-1)[0]).all())
    }


def _shapes(module: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in module.parameters()]


def _checked(images: Images) -> Images:
    images = images.detach().cpu().float()
    if images.ndim != 4 or not len(images):
        raise InputError(
            f"expected at least one image, of shape (images, channels, height, width): got {tuple(images.shape)}"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise InputError(f"expected images with values from 0 to 1, got {low:.3g} to {high:.3g}")
    return images


def _faces(images: Images):
    """One (1, 3, 112, 112) array, 0 to 255, for each image."""
    images = _checked(images)
    if images.shape[1] not in (1, FACE_CHANNELS):
        raise InputError(f"expected grey or RGB images, got {images.shape[1]} channels")
    for image in images.split(1):
        face = F.interpolate(image, (FACE_SIDE, FACE_SIDE), mode="bilinear", antialias=True, align_corners=False)
        yield np.ascontiguousarray(FULL * face.clamp(0, 1).expand(-1, FACE_CHANNELS, -1, -1).numpy())


def _normalised(rows: np.ndarray) -> Float32[np.ndarray, "rows features"]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
