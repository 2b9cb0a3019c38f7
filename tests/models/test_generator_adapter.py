import numpy as np
import pytest
import torch
from torch import nn

from seepage.errors import InputError
from seepage.models.generators import StyleGAN, from_callable


class Network(nn.Module):
    """Answers like a StyleGAN2-ADA generator, with an image that says what it was asked."""

    def __init__(self, z_dim=6, c_dim=3):
        super().__init__()
        self.z_dim, self.c_dim = z_dim, c_dim
        self.scale = nn.Parameter(torch.ones(1))
        self.asked = []

    def forward(self, z, c, truncation_psi=1, noise_mode="random"):
        self.asked.append((z.clone(), c.clone(), truncation_psi, noise_mode))
        grey = c.argmax(1).float() if self.c_dim else z[:, 0]
        return (self.scale * grey)[:, None, None, None].expand(-1, 3, 4, 4) - 1


def rng():
    return np.random.default_rng(0)


def test_stylegan_is_asked_with_noise_and_classes():
    network = Network().eval()
    images = StyleGAN(network, truncation=0.7, batch_size=2).sample([2, 0, 1], rng())
    assert [len(z) for z, *_ in network.asked] == [2, 1]
    assert torch.cat([c for _, c, *_ in network.asked]).tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert {(psi, mode) for *_, psi, mode in network.asked} == {(0.7, "const")}
    z = torch.cat([z for z, *_ in network.asked])
    assert np.array_equal(z.numpy(), rng().standard_normal((3, 6), dtype=np.float32))
    # 127.5 x + 128 at -1, 0 and 1, which is cut off at 255.
    assert images.dtype == np.uint8
    assert images[:, 0, 0, 0].tolist() == [255, 0, 128]
    assert images.shape == (3, 3, 4, 4)


def test_a_generator_without_classes_takes_any_label():
    network = Network(c_dim=0).eval()
    generator = StyleGAN(network)
    assert generator.n_classes is None
    assert generator.sample([7, 0], rng()).shape == (2, 3, 4, 4)
    assert network.asked[0][1].shape == (2, 0)
    assert network.asked[0][2] == 1.0


def test_many_noise_vectors_are_standard_normal():
    network = Network().eval()
    StyleGAN(network, batch_size=1000).sample(np.zeros(1000, int), rng())
    z = network.asked[0][0]
    assert z.mean().item() == pytest.approx(0, abs=0.05)
    assert z.std().item() == pytest.approx(1, abs=0.05)


def test_stylegan_refuses_what_it_cannot_ask():
    with pytest.raises(InputError, match="z_dim and c_dim"):
        StyleGAN(nn.Linear(2, 2))
    with pytest.raises(InputError, match="eval"):
        StyleGAN(Network().train())
    with pytest.raises(InputError, match="truncation"):
        StyleGAN(Network().eval(), truncation=1.5)
    with pytest.raises(InputError, match="batch_size"):
        StyleGAN(Network().eval(), batch_size=0)
    with pytest.raises(InputError):
        StyleGAN(Network().eval()).sample([3], rng())


def test_a_generator_that_answers_something_else_is_refused():
    class Flat(Network):
        def forward(self, z, c, **options):
            return z

    with pytest.raises(InputError, match="answered with"):
        StyleGAN(Flat().eval()).sample([0], rng())


def test_a_function_is_a_generator():
    def noise(labels, rng):
        return (rng.integers(0, 10, (len(labels), 1, 2, 2)) + 100 * labels[:, None, None, None]).astype(np.uint8)

    generator = from_callable(noise, n_classes=3)
    images = generator.sample([0, 2], rng())
    assert images[0].max() < 10
    assert images[1].min() >= 200
    assert (images == generator.sample([0, 2], rng())).all()
    with pytest.raises(InputError):
        generator.sample([3], rng())


@pytest.mark.parametrize(
    "answer", [np.zeros((2, 1, 2, 2)), np.zeros((1, 1, 2, 2), np.uint8), np.zeros((2, 4), np.uint8)]
)
def test_a_function_must_answer_with_one_image_a_label(answer):
    with pytest.raises(InputError, match="uint8 images"):
        from_callable(lambda labels, rng: answer).sample([0, 1], rng())
    with pytest.raises(InputError, match="expected a function"):
        from_callable(answer)
