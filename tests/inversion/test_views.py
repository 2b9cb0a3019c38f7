"""Random views: by hand, against a naive resampling pixel by pixel, and image by image."""

import math

import numpy as np
import pytest
import torch

from seepage.errors import InputError
from seepage.inversion.views import views
from tests.reference import inversion_search as naive

IMAGES = torch.from_numpy(np.random.default_rng(2).random((5, 2, 6, 9), dtype=np.float32))
WHOLE = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0}
UNEVEN = {"scale": (0.1, 1.0), "ratio": (0.1, 10.0)}
EVERYTHING = {"scale": (0.3, 0.9), "ratio": (0.5, 2.0), "flip": 0.5, "jitter": 0.4, "degrees": 40.0}


def rngs(n=5):
    return [np.random.default_rng([7, image]) for image in range(n)]


class Fixed:
    """A generator whose eight numbers are known: size, shape, x, y, mirror, angle, brightness, contrast."""

    def __init__(self, *numbers):
        self.numbers = np.array(numbers, dtype=np.float32)

    def random(self, shape, dtype):
        assert shape == (8,)
        return self.numbers


def seen(image, *numbers, **options):
    return views(image[None], [Fixed(*numbers)], **options)[0]


def test_the_view_of_everything_is_the_image():
    torch.testing.assert_close(views(IMAGES, rngs(), **WHOLE), IMAGES, atol=1e-6, rtol=0)


def test_a_certain_mirroring_exchanges_left_and_right():
    torch.testing.assert_close(views(IMAGES, rngs(), **{**WHOLE, "flip": 1.0}), IMAGES.flip(3), atol=1e-6, rtol=0)


def test_half_a_turn_exchanges_all_and_a_quarter_goes_round():
    half = seen(IMAGES[0], 0, 0, 0, 0, 0, 1, 0, 0, **WHOLE, degrees=180.0)
    torch.testing.assert_close(half, IMAGES[0].flip((1, 2)), atol=1e-5, rtol=0)
    square = IMAGES[0, :, :6, :6]
    quarter = seen(square, 0, 0, 0, 0, 0, 1, 0, 0, **WHOLE, degrees=90.0)
    torch.testing.assert_close(quarter, square.rot90(1, (1, 2)), atol=1e-5, rtol=0)


def test_a_corner_fills_the_picture():
    ramp = (torch.arange(8) + 0.5).expand(1, 8, 8) / 8  # the value is the place from 0 to 1
    left = seen(ramp, 0, 0, 0, 0, 0.9, 0, 0, 0, scale=(0.25, 0.25), ratio=(1.0, 1.0))
    torch.testing.assert_close(left[0, 3], ((torch.arange(8) + 0.5) / 16).clamp(min=0.5 / 8))
    right = seen(ramp, 0, 0, 1, 0, 0.9, 0, 0, 0, scale=(0.25, 0.25), ratio=(1.0, 1.0))
    torch.testing.assert_close(right[0, 3], (0.5 + (torch.arange(8) + 0.5) / 16).clamp(max=7.5 / 8))


def test_brightness_and_contrast_by_hand():
    image = torch.tensor([[[0.2, 0.6]]])  # the mean is 0.4
    brighter = seen(image, 0, 0, 0, 0, 0, 0, 1, 0.5, **WHOLE, jitter=0.5)
    torch.testing.assert_close(brighter, torch.tensor([[[0.3, 0.9]]]))
    flatter = seen(image, 0, 0, 0, 0, 0, 0, 0.5, 0, **WHOLE, jitter=0.5)
    torch.testing.assert_close(flatter, torch.tensor([[[0.3, 0.5]]]))
    assert seen(image, 0, 0, 0, 0, 0, 0, 1, 1, **WHOLE, jitter=0.9).max() == 1.0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": (0.5, 0.9), "ratio": (0.8, 1.2)},
        {"degrees": 30.0},
        {"scale": (0.1, 1.0), "ratio": (0.1, 10.0)},
        EVERYTHING,
    ],
)
def test_views_agree_with_the_naive_ones(options):
    ours = views(IMAGES, rngs(), **options)
    for image, rng, our in zip(IMAGES, rngs(), ours, strict=True):
        theirs = naive.view(image.double().numpy(), rng.random(8, np.float32), **options)
        np.testing.assert_allclose(our, theirs, atol=2e-5)
    assert not torch.allclose(ours, IMAGES, atol=0.05)


def test_an_image_has_the_view_that_it_has_alone():
    together = views(IMAGES, rngs(), **EVERYTHING)
    for image, rng, view in zip(IMAGES, rngs(), together, strict=True):
        torch.testing.assert_close(views(image[None], [rng], **EVERYTHING)[0], view)


def test_options_do_not_change_how_many_numbers_are_drawn():
    one, other = rngs(), rngs()
    views(IMAGES, one, **WHOLE)
    views(IMAGES, other, **EVERYTHING)
    assert [rng.random() for rng in one] == [rng.random() for rng in other]


def test_half_of_the_images_are_mirrored_and_crops_are_of_the_shares_asked_for():
    ramp = ((torch.arange(32) + 0.5) / 32).expand(400, 1, 32, 32)
    across = views(ramp, rngs(400), scale=(0.49, 0.81), ratio=(1.0, 1.0))[:, 0, 16]
    width = (across[:, 20] - across[:, 10]) * 32 / 10  # of a crop, negative where it is mirrored
    assert 160 < int((width < 0).sum()) < 240
    assert width.abs().min() >= 0.7 - 1e-4
    assert width.abs().max() <= 0.9 + 1e-4
    assert (width.abs() ** 2).mean() == pytest.approx(0.65, abs=0.02)


def test_gradients_flow_back_to_every_pixel_that_is_seen():
    images = IMAGES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(views(images, rngs()).sum(), images)
    torch.testing.assert_close(gradient.sum((1, 2, 3)), torch.full((5,), 2.0 * 6 * 9))  # the four shares add up to 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (0.9, 0.8)}, "scale"),
        ({"scale": (0.5, 1.1)}, "scale"),
        ({"ratio": (0.0, 1.0)}, "ratio"),
        ({"ratio": (2.0, 1.0)}, "ratio"),
        ({"flip": 1.5}, "flip"),
        ({"jitter": 1.0}, "jitter"),
        ({"jitter": -0.1}, "jitter"),
        ({"degrees": -1.0}, "degrees"),
        ({"degrees": math.inf}, "degrees"),
    ],
)
def test_what_a_view_cannot_be(options, complaint):
    with pytest.raises(InputError, match=complaint):
        views(IMAGES, rngs(), **options)
