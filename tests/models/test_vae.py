"""The variational autoencoder: its loss, what it learns, mixed columns, files, and training by DP-SGD."""

import numpy as np
import pytest
import torch

import seepage
from seepage import Pool
from seepage.errors import DataFileError, InputError
from seepage.models.generators.columns import Columns, log_likelihood
from seepage.models.generators.elbo import negative_elbo
from seepage.models.generators.vae import VAE
from seepage.models.generators.vae_networks import Network
from seepage.models.generators.vae_privacy import set_private_gradient
from seepage.models.generators.vae_training import train_vae
from tests.reference import synthesis as naive

RNG = np.random.default_rng(8)
BITS = Pool((RNG.random((60, 7)) < 0.4).astype(np.uint8), RNG.integers(0, 2, 60))


def test_the_loss_of_a_record_written_out():
    torch.manual_seed(0)
    network = Network((7,), Columns((("binary", 7),)), 3, "mlp", 16, 0)
    x, noise = torch.from_numpy(BITS.batch()[:5]), torch.randn(5, 3)
    classes = torch.zeros(5, 0)
    with torch.no_grad():
        found = negative_elbo(network, x, classes, noise)
        mean, log_variance = network.encode(x, classes)
        raw = network.decode(mean + (log_variance / 2).exp() * noise, classes)
    for row in range(5):
        expected = naive.kl(mean[row].tolist(), log_variance[row].tolist())
        expected -= naive.bernoulli(raw[row].tolist(), x[row].tolist())
        assert float(found[row]) == pytest.approx(expected, rel=1e-4)


def test_choices_and_numbers_have_likelihoods_of_their_own():
    columns = Columns((("choice", 3), ("numeric", 1)))
    raw, x = torch.tensor([[1.0, 2.0, 0.5, 4.0]]), torch.tensor([[0.0, 1.0, 0.0, 4.5]])
    log_sigma = torch.tensor([0.0, 0.0, 0.0, np.log(0.5)], dtype=torch.float32)
    expected = float(raw[0, :3].log_softmax(0)[1]) - 0.5 * 1.0**2 - np.log(0.5) - 0.5 * np.log(2 * np.pi)
    assert float(log_likelihood(raw, x, columns, log_sigma)) == pytest.approx(expected, rel=1e-5)


def test_levels_have_one_sigma_for_all():
    columns = Columns((("unit", 3),))
    raw, x, sigma = torch.tensor([[0.3, -1.0, 2.0]]), torch.tensor([[0.2, 0.0, 1.0]]), 0.25
    expected = sum(
        -0.5 * ((value - 1 / (1 + np.exp(-r))) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
        for r, value in zip(raw[0].tolist(), x[0].tolist(), strict=True)
    )
    log_sigma = torch.tensor([0.0, 1.0, -1.0]) + float(np.log(sigma))
    assert float(log_likelihood(raw, x, columns, log_sigma)) == pytest.approx(expected, rel=1e-5)


def test_the_weight_of_the_kl_term_is_that_of_it_alone():
    torch.manual_seed(0)
    network = Network((7,), Columns((("binary", 7),)), 3, "mlp", 16, 0)
    x, noise, classes = torch.from_numpy(BITS.batch()[:5]), torch.randn(5, 3), torch.zeros(5, 0)
    with torch.no_grad():
        none, half, whole = (negative_elbo(network, x, classes, noise, weight) for weight in (0.0, 0.5, 1.0))
        mean, log_variance = network.encode(x, classes)
    kl = [naive.kl(m, v) for m, v in zip(mean.tolist(), log_variance.tolist(), strict=True)]
    assert (whole - none).tolist() == pytest.approx(kl, rel=1e-3, abs=1e-5)
    assert torch.allclose(half, (none + whole) / 2)


def test_columns_are_what_a_table_says_or_what_they_look_like():
    assert Columns.guess(BITS).runs == (("binary", 7),)
    named = Pool(
        np.array([[0, 1, 3.5, 1], [1, 0, 2.0, 0]]), [0, 1],
        columns=(("town", "Bonn"), ("town", "Ulm"), ("age", None), ("owner", None)),
    )  # fmt: skip
    assert Columns.guess(named).runs == (("choice", 2), ("numeric", 1), ("binary", 1))
    images = Pool(RNG.integers(0, 256, (4, 1, 4, 4), dtype=np.uint8), [0, 1, 0, 1], scale=1 / 255)
    assert Columns.guess(images).runs == (("unit", 16),)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_training_lowers_the_loss_and_codes_say_what_the_record_was(network):
    digits = seepage.load("digits", flat=False).subset(np.arange(400))
    vae = train_vae(digits, network=network, epochs=60, latent=8, seed=0)
    losses = vae.training.losses
    assert losses[-1] < losses[0] - 3
    codes = vae.encode(digits.inputs)
    assert np.allclose(codes[:3], vae.encode(digits.inputs[:3]), atol=1e-5)
    decoded = vae.decode(codes)
    error = np.abs(decoded - digits.inputs).mean()
    assert error < 0.75 * np.abs(digits.inputs.mean(axis=0) - digits.inputs).mean()
    assert vae.sample(5, np.random.default_rng(0)).shape == (5, 1, 8, 8)


def test_a_conditional_one_makes_records_of_the_class_that_is_asked_for(tmp_path):
    labels = RNG.integers(0, 2, 200)
    pool = Pool((RNG.random((200, 6)) < np.where(labels, 0.95, 0.05)[:, None]).astype(np.uint8), labels)
    vae = train_vae(pool, conditional=True, epochs=40, latent=2, seed=0)
    made = vae.sample(np.repeat([0, 1], 200), np.random.default_rng(0), draw=True)
    assert made.dtype == np.uint8
    assert made[:200].mean() < 0.2
    assert made[200:].mean() > 0.8
    vae.save(tmp_path / "vae.safetensors")
    back = VAE.load(tmp_path / "vae.safetensors")
    assert np.array_equal(back.encode(pool.inputs, labels), vae.encode(pool.inputs, labels))
    assert back.training == vae.training
    (tmp_path / "broken").write_bytes(b"not a vae")
    with pytest.raises(DataFileError):
        VAE.load(tmp_path / "broken")
    with pytest.raises(InputError, match="labels"):
        vae.encode(pool.inputs)
    with pytest.raises(InputError, match="expected uint8 records"):
        vae.encode(pool.inputs.astype(np.float32), labels)


def test_the_private_gradient_is_the_clipped_sum_and_noise():
    torch.manual_seed(1)
    network = Network((7,), Columns((("binary", 7),)), 2, "mlp", 5, 0)
    x, noise, classes = torch.from_numpy(BITS.batch()[:6]), torch.randn(6, 2), torch.zeros(6, 0)
    parameters = list(network.parameters())
    expected = [torch.zeros_like(p) for p in parameters]
    for row in range(6):
        one = slice(row, row + 1)
        gradients = torch.autograd.grad(
            negative_elbo(network, x[one], classes[one], noise[one]).sum(), parameters,
            allow_unused=True, materialize_grads=True,
        )  # fmt: skip
        norm = torch.sqrt(sum(g.square().sum() for g in gradients))
        expected = [e + g * min(1.0, 0.7 / float(norm)) for e, g in zip(expected, gradients, strict=True)]
    options = {"noise_multiplier": 0.0, "max_norm": 0.7, "expected": 4, "rng": np.random.default_rng(0)}
    set_private_gradient(network, x, classes, noise, **options)
    for p, e in zip(parameters, expected, strict=True):
        assert torch.allclose(p.grad, e / 4, atol=1e-5)
    nobody = slice(0, 0)
    set_private_gradient(network, x[nobody], classes[nobody], noise[nobody], **{**options, "noise_multiplier": 2.0})
    drawn = torch.cat([p.grad.flatten() for p in parameters])
    assert float(drawn.std()) == pytest.approx(2.0 * 0.7 / 4, rel=0.2)


def test_private_noise_takes_more_of_the_seed_than_pytorch_does():
    """Seeds that differ above 32 bits alone start the same networks; batches of everybody leave only the noise."""

    def trained(seed):
        vae = train_vae(BITS, epochs=1, noise_multiplier=1e6, batch_size=len(BITS), seed=seed)
        return torch.cat([p.flatten() for p in vae.network.parameters()])

    one, again, other = (trained(seed) for seed in (5, 5, 5 + (7 << 32)))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


def test_dp_sgd_tells_no_losses_and_measures_no_range():
    vae = train_vae(BITS, epochs=2, noise_multiplier=1.0, batch_size=10, seed=0)
    assert vae.training.losses == ()
    assert not vae.training.measured
    assert 0 < vae.training.privacy.epsilon < 20
    wide = Pool(np.linspace(-3, 3, 80).reshape(20, 1, 2, 2), RNG.integers(0, 2, 20))
    with pytest.raises(InputError, match="may not measure the range"):
        train_vae(wide, network="mlp", epochs=1, noise_multiplier=1.0, seed=0)
    assert train_vae(wide, network="mlp", epochs=1, seed=0).training.measured
    constant = Pool(np.full((20, 1, 2, 2), 7.0), RNG.integers(0, 2, 20))
    vae = train_vae(constant, network="mlp", epochs=1, seed=0)
    assert np.isfinite(vae.sample(2, np.random.default_rng(0))).all()
    with pytest.raises(InputError, match="delta must be in"):
        train_vae(BITS, epochs=1, noise_multiplier=1.0, delta=0.0, seed=0)
