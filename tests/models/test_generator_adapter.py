import numpy as np
import pytest
import torch
from torch import nn

from seepage.errors import InputError
from seepage.models.generators import StyleGAN, from_callable


class Mapping(nn.Module):
    """(z, c) -> the same style in every layer: the class, or z_0 where there are none; then z_1."""

    def __init__(self):
        super().__init__()
        self.register_buffer("w_avg", torch.tensor([0.5, 0.25]))
        self.asked = []

    def forward(self, z, c, truncation_psi=1):
        self.asked.append((z.clone(), c.clone()))
        w = torch.stack([c.argmax(1).float() if c.shape[1] else z[:, 0], z[:, 1]], 1)[:, None].repeat(1, 5, 1)
        return w if truncation_psi == 1 else self.w_avg.lerp(w, truncation_psi)


class Synthesis(nn.Module):
    """Its first image channel is the first number of the style, less 1."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, styles, noise_mode="random"):
        noise = 0 if noise_mode == "const" else torch.randn(1)
        return (self.scale * styles.mean(1))[:, [0, 1, 0], None, None].expand(-1, -1, 4, 4) - 1 + noise


class Network(nn.Module):
    """Made up as the generators of StyleGAN2-ADA and StyleGAN3 are."""

    def __init__(self, z_dim=6, c_dim=3):
        super().__init__()
        self.z_dim, self.c_dim, self.num_ws = z_dim, c_dim, 5
        self.mapping, self.synthesis = Mapping(), Synthesis()

    def forward(self, z, c, truncation_psi=1, noise_mode="random"):
        return self.synthesis(self.mapping(z, c, truncation_psi), noise_mode=noise_mode)


def rng():
    return np.random.default_rng(0)


def test_stylegan_is_asked_with_noise_and_classes():
    network = Network().eval()
    images = StyleGAN(network, batch_size=2).sample([2, 0, 1], rng())
    assert [len(z) for z, _ in network.mapping.asked] == [2, 1]
    assert torch.cat([c for _, c in network.mapping.asked]).tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    z = torch.cat([z for z, _ in network.mapping.asked])
    assert np.array_equal(z.numpy(), rng().standard_normal((3, 6), dtype=np.float32))
    # 127.5 x + 128 at -1, 0 and 1, which is cut off at 255.
    assert images.dtype == np.uint8
    assert images[:, 0, 0, 0].tolist() == [255, 0, 128]
    assert images.shape == (3, 3, 4, 4)


@pytest.mark.parametrize("psi", [0, 0.3, 0.7, 1])
def test_a_sample_is_what_the_network_answers_when_it_is_called(psi):
    network = Network().eval()
    images = StyleGAN(network, truncation=psi).sample(np.arange(30) % 3, rng())
    z, c = network.mapping.asked[0]
    with torch.no_grad():
        answers = network(z, c, truncation_psi=psi, noise_mode="const")
    assert np.array_equal(images, (answers * 127.5 + 128).clamp(0, 255).to(torch.uint8).numpy())
    assert len(np.unique(images)) > 2 or psi == 0


def test_a_generator_without_classes_takes_any_label():
    network = Network(c_dim=0).eval()
    generator = StyleGAN(network)
    assert generator.n_classes is None
    assert generator.sample([7, 0], rng()).shape == (2, 3, 4, 4)
    assert network.mapping.asked[0][1].shape == (2, 0)


def test_many_noise_vectors_are_standard_normal():
    network = Network().eval()
    StyleGAN(network, batch_size=1000).sample(np.zeros(1000, int), rng())
    z = network.mapping.asked[0][0]
    assert z.mean().item() == pytest.approx(0, abs=0.05)
    assert z.std().item() == pytest.approx(1, abs=0.05)


def test_stylegan_refuses_what_it_cannot_ask():
    with pytest.raises(InputError, match="without z_dim, c_dim, num_ws, mapping, synthesis"):
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
    class Flat(Synthesis):
        def forward(self, styles, noise_mode):
            return styles[:, 0]

    network = Network()
    network.synthesis = Flat()
    with pytest.raises(InputError, match="answered with"):
        StyleGAN(network.eval()).sample([0], rng())


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
