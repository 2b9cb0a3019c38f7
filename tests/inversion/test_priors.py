"""Priors: losses by hand and by loops, trainings that resume, penalties that know noise, other people's generators."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from seepage.data import Pool
from seepage.errors import DataFileError, InputError, StorageError, TrainingError, UnsafeFileError
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors import (
    KINDS,
    DCGANPrior,
    ModulePrior,
    Pixels,
    PriorOptions,
    SavedGANPrior,
    StyleGANPrior,
    make_prior,
    networks,
    open_generator,
    train_conditional_gan,
    train_knowledge_gan,
    train_wgan_gp,
    wgan_gp,
)
from seepage.inversion.priors import conditional as conditional_code
from seepage.inversion.priors import knowledge_gan as knowledge_code
from seepage.inversion.priors.adapters import fitted
from seepage.inversion.priors.knowledge_gan import discriminator_loss, generator_loss
from seepage.inversion.priors.wgan_gp import gradient_penalty
from seepage.models.access import AccessError
from seepage.models.generators import Generator, train_gan, trainer
from seepage.models.generators import gan as gan_code
from seepage.models.generators.trainer import GanTrainer
from tests.reference import priors as naive

TINY = PriorOptions(steps=6, width=4, batch_size=8, latent=5, critic_steps=2, top_n=4)
TRAINED = PriorOptions(steps=60, width=8, batch_size=16, latent=8, critic_steps=1, top_n=40)


def rngs(n, seed=0):
    return [np.random.default_rng([seed, place]) for place in range(n)]


def halves(n=120, seed=0):
    """Bright on the left or on the right, above a little noise."""
    source = np.random.default_rng(seed)
    images, sides = source.integers(0, 60, (n, 1, 8, 8)), source.integers(0, 2, n)
    images[sides == 0, :, :, :4] += 190
    images[sides == 1, :, :, 4:] += 190
    return torch.from_numpy(images.astype(np.uint8))


class Sides(nn.Module):
    """Logits of (left is bright, right is bright, neither)."""

    def forward(self, images):
        left, right = images[..., :4].mean((1, 2, 3)), images[..., 4:].mean((1, 2, 3))
        return 10 * torch.stack([left - right, right - left, torch.zeros_like(left)], 1)


def oracle(access="weights"):
    return Oracle(Sides().eval(), access)


def trainings():
    """Each kind's training, as a function of what all of them take."""
    return {
        "gan": train_wgan_gp,
        "knowledge-gan": lambda public, **given: train_knowledge_gan(public, oracle(), **given),
        "conditional-gan": lambda public, **given: train_conditional_gan(public, oracle(), **given),
    }


def made(prior, n=6, seed=1):
    labels = torch.arange(n) % 2
    with torch.no_grad():
        return prior.images(prior.draw(rngs(n, seed)), labels)


# Losses


def double(network):
    return network.double().eval()


def test_the_gradient_penalty_agrees_with_the_naive_one():
    torch.manual_seed(0)
    critic = double(networks.Critic((1, 8, 8), 4))
    real, fake, shares = torch.rand(3, 1, 8, 8).double(), torch.rand(3, 1, 8, 8).double(), torch.rand(3).double()
    ours = gradient_penalty(critic, real, fake, shares)
    assert ours.item() == pytest.approx(naive.gradient_penalty(critic, real, fake, shares), rel=1e-6)
    assert all(gradient is not None for gradient in torch.autograd.grad(ours, critic.features.layers[0].weight))


def test_the_gradient_penalty_of_a_plane_is_the_distance_of_its_slope_from_one():
    class Plane(nn.Module):
        def forward(self, images):
            return 3 * images[:, 0, 0, 0] + 4 * images[:, 0, 1, 1]

    penalty = gradient_penalty(Plane(), torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8), torch.rand(2))
    assert penalty.item() == pytest.approx((5 - 1) ** 2)


def test_the_critic_tells_public_from_generated_images_and_pays_ten_times_the_penalty(monkeypatch):
    class Brightness(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, images):
            return self.weight * images.mean((1, 2, 3))

    monkeypatch.setattr(wgan_gp, "gradient_penalty", lambda critic, real, fake, shares: torch.tensor(0.5))
    rates = {"images": 1e-3, "critic": 1e-3}
    public = torch.full((10, 1, 8, 8), 51, dtype=torch.uint8)  # 0.2
    training = wgan_gp._Training(public, Brightness, rates, (0.5, 0.9), TINY, kind="gan", seed=0, device="cpu")
    training.images.forward = lambda z: torch.full((len(z), 1, 8, 8), 0.7)
    assert training.critic_loss(np.random.default_rng()).item() == pytest.approx(0.7 - 0.2 + 10 * 0.5)
    assert training.images_loss(np.random.default_rng()).item() == pytest.approx(-0.7)


def test_losses_of_the_knowledge_gan_agree_with_the_naive_ones():
    source = np.random.default_rng(3)
    on_real, on_fake = source.normal(size=(4, 3)), source.normal(size=(5, 3))
    soft = source.dirichlet(np.ones(3), 4)
    ours = discriminator_loss(*(torch.from_numpy(part) for part in (on_real, on_fake, soft)))
    assert ours.item() == pytest.approx(naive.discriminator_loss(on_real.tolist(), on_fake.tolist(), soft.tolist()))
    real, fake = source.normal(size=(4, 7)), source.normal(size=(5, 7))
    ours = generator_loss(*(torch.from_numpy(part) for part in (real, fake, on_fake)))
    assert ours.item() == pytest.approx(naive.generator_loss(real.tolist(), fake.tolist(), on_fake.tolist()))


def test_losses_of_the_knowledge_gan_by_hand():
    # k = 2 and logits 0: LSE = log 2, p(real) = 2/3, and the labelled part is log 2
    zeros = torch.zeros(1, 2)
    loss = discriminator_loss(zeros, zeros, torch.tensor([[0.3, 0.7]]))
    assert loss.item() == pytest.approx(np.log(2) + 0.5 * (-np.log(2 / 3) + np.log(3)))
    assert networks.unreal(zeros).item() == pytest.approx(-np.log(2 / 3))
    loss = generator_loss(torch.tensor([[1.0, 5.0]]), torch.tensor([[2.0, 2.0]]), zeros)
    assert loss.item() == pytest.approx((1 + 3) / 2 + 1e-4 * np.log(2))


def test_minibatch_discrimination_agrees_with_loops():
    torch.manual_seed(0)
    layer = networks.MinibatchDiscrimination(6).double()
    features = torch.randn(4, 6).double()
    theirs = naive.closeness(features.tolist(), layer.weight.detach().tolist(), networks.KERNELS, networks.KERNEL_SIZE)
    ours = layer(features).detach()
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert 0.1 < ours.mean() / 3 < 0.9  # distances at which exp has a slope


def test_an_image_alone_is_close_to_none_and_copies_are_close_to_all():
    layer = networks.MinibatchDiscrimination(6)
    assert torch.equal(layer(torch.randn(1, 6)), torch.zeros(1, networks.KERNELS))
    torch.testing.assert_close(layer(torch.ones(5, 6)), torch.full((5, networks.KERNELS), 4.0))


def test_a_discriminator_that_judges_each_alone_does_as_it_would_for_a_batch_of_one():
    torch.manual_seed(0)
    network = networks.ClassDiscriminator((1, 8, 8), 4, 3).eval()
    images = torch.rand(5, 1, 8, 8)
    _, alone = network(images, alone=True)
    _, one = network(images[2:3])
    torch.testing.assert_close(alone[2:3], one)
    _, together = network(images)
    assert not torch.allclose(together, alone)


@pytest.mark.parametrize("n", [1, 3, 9])
def test_the_top_images_agree_with_the_naive_choice(n):
    log_p = np.log(np.random.default_rng(1).dirichlet(np.ones(3), 7))
    log_p[4] = log_p[2]  # of equals the first
    records, classes = conditional_code.top_images(torch.from_numpy(log_p), n)
    assert list(zip(records.tolist(), classes.tolist(), strict=True)) == naive.top_images(log_p.tolist(), n)


def test_an_image_may_stand_for_several_classes():
    log_p = torch.tensor([[0.6, 0.4], [0.5, 0.5], [0.9, 0.1]]).log()
    records, classes = conditional_code.top_images(log_p, 2)
    assert records.tolist() == [2, 0, 1, 0]
    assert classes.tolist() == [0, 0, 1, 1]


def test_the_guide_is_the_margin_of_the_target(monkeypatch):
    monkeypatch.setattr(conditional_code, "views", lambda images, rngs, **options: images)
    images, labels = torch.rand(5, 1, 8, 8) * 2 - 1, torch.tensor([0, 1, 2, 0, 1])
    target = oracle()
    loss = conditional_code.Guidance(target, "t")(images, labels, np.random.default_rng())
    rows = Sides()((images + 1) / 2).tolist()
    margins = [naive.max_margin(row, label) for row, label in zip(rows, labels.tolist(), strict=True)]
    assert loss.item() == pytest.approx(0.2 * np.mean(margins), rel=1e-5)
    assert target.n_queries == 5


def test_a_guide_is_a_part_of_the_generators_loss_alone():
    class Dark:
        name = "dark"

        def __call__(self, images, labels, rng):
            rng.random()
            return 100 * images.mean()

    pool = Pool(halves().numpy(), np.arange(120) % 2)
    plain, guided = (gan_code.Training(pool, 1, 10, 8, 4, "cpu", guide) for guide in (None, Dark()))
    plain.step()
    guided.step()
    for name, parameter in plain.critic.named_parameters():
        assert torch.equal(parameter, dict(guided.critic.named_parameters())[name])
    with torch.no_grad():
        dark, light = (training.images.train()(*plain.draw(np.random.default_rng())) for training in (guided, plain))
    assert dark.mean() < light.mean()


# Trainings


@pytest.mark.parametrize("kind", trainings())
@pytest.mark.parametrize("killed_after", [4, 5])
def test_a_killed_training_goes_on_to_the_same_prior(kind, killed_after, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_STEPS", 4)
    train, public = trainings()[kind], halves()
    whole, seen = made(train(public, options=TINY, seed=1)), []

    def kill(fraction):
        seen.append(fraction)
        if len(seen) == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(public, options=TINY, seed=1, folder=tmp_path, report=kill)
    seen.clear()
    assert torch.equal(made(train(public, options=TINY, seed=1, folder=tmp_path, report=seen.append)), whole)
    assert seen == [pytest.approx(5 / 6), 1]
    seen.clear()
    assert torch.equal(made(train(public, options=TINY, seed=1, folder=tmp_path, report=seen.append)), whole)
    assert not seen
    assert [path.name for path in tmp_path.iterdir()] == ["training.safetensors"]
    assert not torch.equal(made(train(public, options=TINY, seed=2)), whole)
    with pytest.raises(StorageError, match="another generator"):
        train(public, options=TINY, seed=2, folder=tmp_path)
    with pytest.raises(StorageError, match="another generator"):
        train(halves(seed=1), options=TINY, seed=1, folder=tmp_path)


@pytest.mark.parametrize("train", [train_knowledge_gan, train_conditional_gan])
def test_the_folder_of_another_targets_prior_is_refused(train, tmp_path):
    class Other(Sides):
        def forward(self, images):
            return 2 * super().forward(images)

    train(halves(), oracle(), options=TINY, seed=1, folder=tmp_path)
    with pytest.raises(StorageError, match="another generator"):
        train(halves(), Oracle(Other().eval(), "weights"), options=TINY, seed=1, folder=tmp_path)


def test_torchs_own_generator_is_neither_used_nor_moved():
    before = torch.get_rng_state()
    first = [made(train(halves(), options=TINY, seed=1)) for train in trainings().values()]
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng():
        torch.manual_seed(9)
        second = [made(train(halves(), options=TINY, seed=1)) for train in trainings().values()]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def priors():
    options = {"gan": replace(TRAINED, steps=120), "conditional-gan": replace(TRAINED, steps=250)}
    return {kind: train(halves(400), options=options.get(kind, TRAINED), seed=0) for kind, train in trainings().items()}


@pytest.mark.parametrize("kind", ["gan", "knowledge-gan"])
def test_public_images_are_less_penalised_than_noise(priors, kind):
    noise, labels = torch.rand(50, 1, 8, 8), torch.zeros(50, dtype=torch.int64)
    public = priors[kind].penalty(halves(50, seed=9).float() / 255, labels)
    assert public.shape == (50,)
    assert (public[:, None] < priors[kind].penalty(noise, labels)).float().mean() > 0.95


@pytest.mark.parametrize("kind", ["gan", "knowledge-gan"])
def test_the_penalty_of_an_image_does_not_depend_on_the_others(priors, kind):
    images, labels = torch.rand(5, 1, 8, 8, requires_grad=True), torch.zeros(5, dtype=torch.int64)
    penalty = priors[kind].penalty(images, labels)
    torch.testing.assert_close(penalty[1:3], priors[kind].penalty(images[1:3], labels[1:3]))
    (gradient,) = torch.autograd.grad(penalty[0], images)
    assert gradient[0].abs().sum() > 0
    assert gradient[1:].abs().sum() == 0


@pytest.mark.parametrize("kind", ["gan", "knowledge-gan"])
def test_images_are_as_dark_as_the_public_ones(kind):
    """Without training they are grey."""
    options = PriorOptions(steps=80, width=8, batch_size=16, latent=8, critic_steps=1)
    dark = halves() // 8
    assert made(trainings()[kind](dark, options=options, seed=0), 60).mean() < 0.2
    assert made(trainings()[kind](255 - dark, options=options, seed=0), 60).mean() > 0.8
    assert 0.3 < made(trainings()[kind](dark, options=replace(options, steps=1), seed=0), 60).mean() < 0.7


def test_the_conditional_generator_makes_the_class_that_is_asked_for(priors):
    labels = torch.arange(60) % 2
    prior = priors["conditional-gan"]
    answers = Sides()(prior.images(prior.draw(rngs(60)), labels)).argmax(1)
    assert (answers == labels).float().mean() > 0.95


def test_images_are_differentiable_in_their_codes_and_independent(priors):
    labels = torch.tensor([0, 1, 0])
    for prior in priors.values():
        codes = prior.draw(rngs(3)).requires_grad_()
        images = prior.images(codes, labels)
        assert images.shape == (3, 1, 8, 8)
        assert 0 <= images.min() <= images.max() <= 1
        (gradient,) = torch.autograd.grad(images[0].sum(), codes)
        assert gradient[0].abs().sum() > 0
        assert gradient[1:].abs().sum() == 0
        torch.testing.assert_close(prior.images(codes[1:2], labels[1:2]), images[1:2])
        assert torch.equal(prior.draw(rngs(3))[1:2], prior.draw(rngs(3)[1:2]))


def test_the_target_labels_every_public_image_once():
    target = oracle("probabilities")
    train_knowledge_gan(halves(), target, options=TINY, seed=0)
    assert target.n_queries == 120
    with pytest.raises(AccessError):
        train_knowledge_gan(halves(), oracle("label"), options=TINY, seed=0)
    target = oracle()
    train_conditional_gan(halves(), target, options=TINY, seed=0)
    assert target.n_queries == 120 + TINY.steps * TINY.batch_size


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 64, 64)])
def test_networks_of_other_sides_and_channels(shape):
    generator = networks.ImageNetwork(shape, 10, 4).eval()
    images = generator(torch.randn(2, 10))
    assert images.shape == (2, *shape)
    assert networks.Critic(shape, 4)(images).shape == (2,)
    features, logits = networks.ClassDiscriminator(shape, 4, 7)(images)
    assert logits.shape == (2, 7)
    assert features.shape == (2, features[0].numel())


@pytest.mark.parametrize("kind", ["gan", "knowledge-gan"])
def test_the_critic_goes_first_and_rates_fall_to_nothing(kind, monkeypatch):
    steps = []
    update = GanTrainer._update

    def watched(self, name, loss):
        update(self, name, loss)
        steps.append((name, round(self.optimisers[name].param_groups[0]["lr"] / self.rates[name], 6)))

    monkeypatch.setattr(GanTrainer, "_update", watched)
    options = replace(TINY, steps=4, critic_steps=3)
    trainings()[kind](halves(), options=options, seed=0)
    assert steps == [(name, left) for left in (1, 0.75, 0.5, 0.25) for name in ("critic",) * 3 + ("images",)]


def test_the_discriminator_learns_the_probabilities_of_each_image(monkeypatch):
    seen, plain = [], knowledge_code.discriminator_loss
    monkeypatch.setattr(
        knowledge_code, "discriminator_loss", lambda *given: seen.append(given[2].clone()) or plain(*given)
    )
    public = halves()
    train_knowledge_gan(public, oracle(), options=replace(TINY, steps=1, critic_steps=1), seed=3)
    records = np.random.default_rng([3, 0]).integers(0, len(public), TINY.batch_size)
    torch.testing.assert_close(seen[0], Sides()(public[records] / 255).softmax(1))


@pytest.mark.parametrize("kind", ["gan", "knowledge-gan"])
def test_no_batch_is_drawn_twice(kind, monkeypatch):
    noise, records = [], []
    plain = GanTrainer.noise, GanTrainer.records
    monkeypatch.setattr(GanTrainer, "noise", lambda *given: noise.append(plain[0](*given)) or noise[-1])
    monkeypatch.setattr(GanTrainer, "records", lambda *given: records.append(plain[1](*given)) or records[-1])
    trainings()[kind](halves(), options=TINY, seed=0)
    drawn = torch.cat(noise)
    assert len(drawn.unique(dim=0)) == len(drawn)
    assert len({tuple(batch.tolist()) for batch in records}) == len(records) > TINY.steps


def test_statistics_taken_anew_are_the_mean_over_all_batches():
    batches = iter(range(trainer.STATISTICS_BATCHES))
    average = nn.Sequential(nn.BatchNorm2d(1))
    average[0].running_mean.fill_(99)
    settled = trainer.settled(average, lambda network: network(torch.full((2, 1, 1, 1), float(next(batches)))))
    assert settled[0].running_mean.item() == pytest.approx((trainer.STATISTICS_BATCHES - 1) / 2)
    assert average[0].running_mean.item() == 99


def test_a_training_that_diverges_is_refused(monkeypatch):
    step = GanTrainer.step

    def broken(self):
        step(self)
        with torch.no_grad():
            self.average.layers[0].weight.fill_(torch.nan)

    monkeypatch.setattr(GanTrainer, "step", broken)
    with pytest.raises(TrainingError, match="diverged"):
        train_wgan_gp(halves(), options=TINY, seed=0)


# Choosing one


def test_each_kind_can_be_made():
    assert set(KINDS) == {"pixels", *trainings()}
    for kind in KINDS:
        prior = make_prior(kind, halves(), oracle(), options=TINY, seed=0)
        assert prior.image_shape == (1, 8, 8)
        assert prior.name
        images = made(prior)
        assert images.shape == (6, 1, 8, 8)
        assert prior.penalty(images, torch.zeros(6, dtype=torch.int64)).shape == (6,)


def test_a_given_generator_takes_the_place_of_the_gan_alone():
    given = ModulePrior(Bars().eval(), 3, (1, 8, 8))
    assert make_prior("gan", halves(), None, options=TINY, given=given, seed=0) is given
    assert isinstance(make_prior("pixels", halves(), None, options=TINY, given=given, seed=0), Pixels)
    assert make_prior("knowledge-gan", halves(), oracle(), options=TINY, given=given, seed=0) is not given
    other = ModulePrior(Bars().eval(), 3, (1, 4, 4))
    with pytest.raises(InputError, match="image_shape=\\(1, 8, 8\\)"):
        make_prior("gan", halves(), None, options=TINY, given=other, seed=0)


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize(
    ("kind", "public", "message"),
    [
        ("gann", halves(), "did you mean 'gan'"),
        ("gan", halves(7), "there are 7"),
        ("knowledge-gan", halves(7), "there are 7"),
        ("conditional-gan", halves(7), "there are 7"),
        ("gan", halves()[..., :6], "square"),
        ("gan", halves().float(), "uint8"),
        ("gan", halves()[..., :4, :4], "got 4: resize"),
    ],
)
def test_what_cannot_be_made(kind, public, message):
    with pytest.raises(InputError, match=message):
        make_prior(kind, public, oracle(), options=TINY, seed=0)


def test_kinds_that_know_the_target_need_one():
    for kind in ("knowledge-gan", "conditional-gan"):
        with pytest.raises(InputError, match="give an oracle"):
            make_prior(kind, halves(), None, options=TINY, seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be"),
        ({"width": 1.5}, "width must be"),
        ({"top_n": True}, "top_n must be"),
        ({"start": "gray"}, "did you mean 'grey'"),
    ],
)
def test_what_options_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        PriorOptions(**options)


# Pixels


def test_pixels_begin_as_they_are_told():
    for start, value in (("zero", 0.0), ("grey", 0.5)):
        assert torch.equal(Pixels((1, 2, 3), start).draw(rngs(2)), torch.full((2, 1, 2, 3), value))
    noise = Pixels((1, 20, 30), "noise").draw(rngs(2))
    assert 0 <= noise.min() < noise.max() < 1
    assert not torch.equal(noise[0], noise[1])
    with pytest.raises(InputError, match="start of pixels"):
        Pixels((1, 2, 3), "ones")


def test_pixels_are_cut_to_the_range_and_their_gradient_passes():
    codes = torch.tensor([-0.5, 0.0, 0.3, 1.0, 1.7]).view(1, 1, 1, 5).requires_grad_()
    images = Pixels((1, 1, 5)).images(codes, torch.zeros(1, dtype=torch.int64))
    assert torch.equal(images.detach().flatten(), codes.detach().flatten().clamp(0, 1))
    (gradient,) = torch.autograd.grad((images * torch.arange(1.0, 6)).sum(), codes)
    assert torch.equal(gradient.flatten(), torch.arange(1.0, 6))


# Other people's generators


class Bars(nn.Module):
    """z (n, 3) -> (n, 2, 4, 4): the first channel is z_0 everywhere, the second z_1."""

    def forward(self, z):
        return z[:, :2, None, None].expand(-1, -1, 4, 4)


def test_a_module_is_scaled_and_fitted():
    prior = ModulePrior(Bars().eval(), 3, (3, 8, 8), output_range=(-1, 3), name="bars")
    codes = torch.tensor([[0.0, 1.0, 9.0], [-5.0, 9.0, 0.0]], requires_grad=True)
    images = prior.images(codes, torch.zeros(2, dtype=torch.int64))
    assert images.shape == (2, 3, 8, 8)
    # (0 + 1) / 4 and (1 + 1) / 4; -5 and 9 are outside and become 0 and 1
    torch.testing.assert_close(images.detach(), torch.tensor([0.375, 0.5]).view(2, 1, 1, 1).expand(2, 3, 8, 8))
    (gradient,) = torch.autograd.grad(images[0, 0, 0, 0], codes)
    torch.testing.assert_close(gradient[0], torch.tensor([1 / 8, 1 / 8, 0]))
    assert prior.draw(rngs(4)).shape == (4, 3)
    assert prior.name == "bars"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModulePrior(Bars(), 3, (1, 8, 8)), "training mode"),
        (lambda: ModulePrior(Bars().eval(), 3, (1, 8, 8), output_range=(1, 1)), "range"),
        (lambda: ModulePrior(nn.Identity().eval(), 3, (1, 8, 8)), "must answer 1 codes"),
        (lambda: ModulePrior(print, 3, (1, 8, 8)), "torch module"),
        (lambda: StyleGANPrior(Bars().eval(), (1, 8, 8)), "without z_dim"),
        (lambda: StyleGANPrior(Style(c_dim=2).eval(), (1, 8, 8)), "c_dim"),
        (lambda: StyleGANPrior(Style(), (1, 8, 8)), "training mode"),
        (lambda: StyleGANPrior(Style().eval(), (1, 8, 8), truncation=2), "between 0 and 1"),
        (lambda: DCGANPrior({"a": torch.zeros(2)}, (1, 8, 8)), "weights of a DCGAN"),
        (lambda: DCGANPrior({"main.0.weight": torch.zeros(2, 3, 4, 4), "b": torch.zeros(1)}, (1, 8, 8)), "not those"),
        (lambda: open_generator("dcgan-face", (1, 8, 8)), "unknown generator 'dcgan-face'"),
    ],
)
def test_what_no_prior_can_be_made_of(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_images_are_fitted_as_a_mean_of_channels_and_of_areas():
    images = torch.tensor([[0.0, 0.3, 0.9]]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    torch.testing.assert_close(fitted(images, (1, 4, 4)), torch.full((1, 1, 4, 4), 0.4))
    assert torch.equal(fitted(images, (3, 4, 4)), images)
    checks = (torch.arange(8)[:, None] + torch.arange(8)).remainder(2).float()[None, None]
    torch.testing.assert_close(fitted(checks, (1, 2, 2))[0, 0], torch.full((2, 2), 0.5), atol=0.05, rtol=0)


def test_a_generator_that_is_brought_along_goes_where_the_target_is():
    given = ModulePrior(Bars().eval(), 3, (1, 8, 8))
    given.module.weight = nn.Parameter(torch.ones(2))
    assert make_prior("gan", halves(), None, given=given, seed=0) is given
    there = make_prior("gan", halves(), None, given=given, seed=0, device="meta")
    assert there.device == there.module.weight.device == torch.device("meta")
    assert there.draw(rngs(2)).device.type == "meta"
    assert given.device == given.module.weight.device == torch.device("cpu")
    assert there.to("meta") is there
    assert Pixels((1, 2, 3)).to("meta").draw(rngs(1)).device.type == "meta"


class Mapping(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("w_avg", torch.tensor([1.0, 2.0]))

    def forward(self, z, c):
        return z[:, None, :2].repeat(1, 3, 1)


class Synthesis(nn.Module):
    def forward(self, styles, noise_mode):
        if noise_mode != "const" or styles.shape[1] != 3:
            raise ValueError
        return styles.sum(1)[:, :, None, None].expand(-1, -1, 8, 8).mean(1, keepdim=True)


class Style(nn.Module):
    def __init__(self, c_dim=0):
        super().__init__()
        self.z_dim, self.c_dim, self.num_ws = 4, c_dim, 3
        self.mapping, self.synthesis = Mapping(), Synthesis()


def test_a_code_of_a_stylegan_is_one_truncated_style_for_all_layers():
    z = np.stack([rng.standard_normal(4, dtype=np.float32) for rng in rngs(3)])
    for truncation in (0.0, 0.5, 1.0):
        prior = StyleGANPrior(Style().eval(), (1, 8, 8), truncation)
        w = prior.draw(rngs(3))
        np.testing.assert_allclose(w, np.array([1, 2]) + truncation * (z[:, :2] - np.array([1, 2])), rtol=1e-5)
    assert prior.slope == 0.2
    there = prior.to("meta")
    assert there.draw(rngs(2)).device.type == there.generator.network.mapping.w_avg.device.type == "meta"
    assert prior.generator.network.mapping.w_avg.device.type == "cpu"
    codes = torch.tensor([[0.1, -0.1], [0.0, 0.2], [5.0, 5.0]], requires_grad=True)
    images = prior.images(codes, torch.zeros(3, dtype=torch.int64))
    # three layers, the mean of two: 3 w / 2, then (x + 1) / 2
    torch.testing.assert_close(images[:, 0, 3, 3].detach(), torch.tensor([0.5, 0.65, 1.0]))
    (gradient,) = torch.autograd.grad(images[1, 0, 0, 0], codes)
    torch.testing.assert_close(gradient[1], torch.tensor([0.75, 0.75]))


def dcgan(latent=6, width=2):
    torch.manual_seed(0)
    layers = [nn.ConvTranspose2d(latent, 2 * width, 4, 1, 0, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU()]
    layers += [nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    layers += [nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh()]
    network = nn.Sequential(*layers)
    with torch.no_grad():
        network(torch.randn(20, latent, 1, 1))
    return network.eval()


def test_a_dcgan_is_rebuilt_from_its_weights(tmp_path):
    network = dcgan()
    state = {f"main.{key}": value for key, value in network.state_dict().items()}
    torch.save({"netG_state_dict": state}, tmp_path / "weights.tar")
    prior = open_generator(tmp_path / "weights.tar", (3, 16, 16))
    codes = prior.draw(rngs(5))
    assert codes.shape == (5, 6)
    with torch.no_grad():
        theirs = (network(codes[:, :, None, None]) + 1) / 2
    torch.testing.assert_close(prior.images(codes, torch.zeros(5, dtype=torch.int64)), theirs)
    grey = DCGANPrior.load(tmp_path / "weights.tar", (1, 16, 16))
    torch.testing.assert_close(made(grey, 5, 0), theirs.mean(1, keepdim=True))
    assert made(DCGANPrior.load(tmp_path / "weights.tar", (1, 32, 32))).shape == (6, 1, 32, 32)
    assert prior.name == "DCGAN weights.tar"


def test_files_that_hold_no_weights(tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(DataFileError, match="no model file"):
        open_generator(tmp_path / "text.pt", (1, 8, 8))
    with pytest.raises(DataFileError, match="there is no file"):
        open_generator(tmp_path / "missing.pt", (1, 8, 8))
    torch.save(Sides(), tmp_path / "code.pt")
    with pytest.raises(UnsafeFileError, match="not opened"):
        open_generator(tmp_path / "code.pt", (1, 8, 8))
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match="weights of a DCGAN"):
        open_generator(tmp_path / "list.pt", (1, 8, 8))


def test_a_saved_generator_is_a_prior_whose_codes_choose_its_class(tmp_path):
    public = halves(200)
    bright_left = public[..., :4].float().mean((1, 2, 3)) > public[..., 4:].float().mean((1, 2, 3))
    pool = Pool(public.numpy(), (~bright_left).long().numpy(), scale=1 / 255)
    generator = train_gan(pool, n_steps=100, batch_size=32, width=8, rng=np.random.default_rng(0))
    generator.save(tmp_path / "own.safetensors")
    prior = open_generator(tmp_path / "own.safetensors", (1, 8, 8))
    assert isinstance(prior, SavedGANPrior)
    codes = prior.draw(rngs(40))
    assert codes.shape == (40, gan_code.LATENT + 2)
    codes[:, gan_code.LATENT :] = torch.tensor([9.0, -9.0])  # wholly of the first class
    images = prior.images(codes, torch.zeros(40, dtype=torch.int64))
    z, labels = codes[:, : gan_code.LATENT], torch.zeros(40, dtype=torch.int64)
    torch.testing.assert_close(images, (Generator.load(tmp_path / "own.safetensors").network(z, labels) + 1) / 2)
    codes[:, gan_code.LATENT :] = torch.tensor([0.2, 0.0])  # shares e / (e + 1) and 1 / (e + 1)
    shares = torch.tensor([[np.e, 1.0]]) / (np.e + 1)
    expected = (prior.network(z, shares.float().expand(40, -1)) + 1) / 2
    torch.testing.assert_close(prior.images(codes, labels), expected)
    mixed = torch.zeros(1, codes.shape[1], requires_grad=True)
    (gradient,) = torch.autograd.grad(prior.images(mixed, labels[:1])[..., :4].sum(), mixed)
    assert gradient[0, gan_code.LATENT] > 0 > gradient[0, gan_code.LATENT + 1]


@pytest.mark.slow
def test_the_published_faces_are_faces():
    """Smooth, each another one, and on average alike from left to right but not from top to bottom."""
    prior = open_generator("dcgan-faces", (1, 64, 64))
    assert prior.latent == (100,)
    images = made(prior, 100)
    assert images.shape == (100, 1, 64, 64)
    assert 0 <= images.min() <= images.max() <= 1
    assert (images[..., 1:] - images[..., :-1]).abs().mean() < 0.2 * images.std()
    assert images.std(0).mean() > 0.1
    mean = images.mean(0)[0]
    _, mirrored, upside_down = torch.corrcoef(torch.stack([m.flatten() for m in (mean, mean.flip(1), mean.flip(0))]))[0]
    assert mirrored > 0.6
    assert upside_down < 0.3
