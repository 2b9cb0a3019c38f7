"""What befalls one side of a data set: noise, compression, blur, mirroring, preprocessing, time, by name."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def noise(sd: float) -> Change:
    def change(images, rng):
        return np.clip(images + rng.normal(0, sd, images.shape), 0, 1)

    return change


def rounded_noise(sd: float) -> Change:
    """Noise that leaves the 256 values of a picture."""
    noisy = noise(sd)
    return lambda images, rng: np.round(noisy(images, rng) * 255) / 255


def jpeg(quality: int) -> Change:
    def one(image):
        file = io.BytesIO()
        Image.fromarray(np.round(image.transpose(1, 2, 0) * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file)).transpose(2, 0, 1) / 255

    return lambda images, rng: np.stack([one(image) for image in images])


def blur(sigma: float) -> Change:
    return lambda images, rng: np.stack([gaussian_filter(image, (0, sigma, sigma)) for image in images])


def mirror(images, rng):
    return images[..., ::-1]


def shifted(pixels: int) -> Change:
    return lambda images, rng: np.roll(images, pixels, axis=-1)


def crop(pixels: int) -> Change:
    """A border cut away and the rest enlarged."""

    def one(image):
        picture = Image.fromarray(np.round(image.transpose(1, 2, 0) * 255).astype(np.uint8))
        width, height = picture.size
        cut = picture.crop((pixels, pixels, width - pixels, height - pixels)).resize((width, height), Image.BILINEAR)
        return np.asarray(cut).transpose(2, 0, 1) / 255

    return lambda images, rng: np.stack([one(image) for image in images])


def resized(images, rng):
    """Down to 24 pixels and up again: a thumbnail service on one side."""

    def one(image):
        picture = Image.fromarray(np.round(image.transpose(1, 2, 0) * 255).astype(np.uint8))
        small = picture.resize((24, 24), Image.BILINEAR).resize(picture.size, Image.BILINEAR)
        return np.asarray(small).transpose(2, 0, 1) / 255

    return np.stack([one(image) for image in images])


def brighter(images, rng):
    return np.clip(images * 1.05, 0, 1)


def grey(images, rng):
    return np.broadcast_to(images.mean(axis=1, keepdims=True), images.shape)


IMAGES: dict[str, Change] = {
    "noise .02": noise(0.02),
    "noise .02, rounded to 256 values": rounded_noise(0.02),
    "noise .05, rounded": rounded_noise(0.05),
    "noise .08, rounded": rounded_noise(0.08),
    "noise .12, rounded": rounded_noise(0.12),
    "JPEG 95": jpeg(95),
    "JPEG 75": jpeg(75),
    "JPEG 50": jpeg(50),
    "JPEG 15": jpeg(15),
    "blur, sd .5 pixels": blur(0.5),
    "blur, sd 1 pixel": blur(1.0),
    "resized to 24 and back": resized,
    "5 % brighter": brighter,
    "grey": grey,
    "mirrored": mirror,
}

COPIES: dict[str, Change] = {
    "the same file, JPEG 95": jpeg(95),
    "JPEG 50": jpeg(50),
    "noise .05": rounded_noise(0.05),
    "mirrored": mirror,
    "moved by 1 pixel": shifted(1),
    "moved by 3 pixels": shifted(3),
    "cropped by 2 pixels a side": crop(2),
    "5 % brighter": brighter,
}
