import json

import numpy as np
import pytest
import safetensors.torch
import torch

import seepage
from seepage import Pool
from seepage.errors import DataFileError, InputError, StorageError
from seepage.models.generators import Generator, train_gan, trainer
from seepage.models.generators import gan as code
from seepage.writing import DamagedFile


def rng(seed=0):
    return np.random.default_rng(seed)


def halves(n=120, seed=0):
    """Class 0 is bright on the left and class 1 on the right, above noise."""
    source = np.random.default_rng(seed)
    images, labels = source.integers(0, 60, (n, 1, 8, 8)), source.integers(0, 2, n)
    images[labels == 0, :, :, :4] += 190
    images[labels == 1, :, :, 4:] += 190
    return Pool(images.astype(np.uint8), labels, scale=1 / 255)


def digits():
    pool = seepage.load("digits", flat=False)
    return Pool((pool.inputs * 255).astype(np.uint8), pool.labels, n_classes=10, scale=1 / 255).subset(range(100))


def weights(generator):
    return {name: value.clone() for name, value in generator.network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def trained():
    return train_gan(halves(), n_steps=350, batch_size=32, width=8, rng=rng())


def test_images_are_of_the_class_that_was_asked_for(trained):
    labels = np.array([0, 1] * 50)
    images = trained.sample(labels, rng(5)).astype(float)
    left_is_brighter = images[..., :4].mean(axis=(1, 2, 3)) > images[..., 4:].mean(axis=(1, 2, 3))
    assert (left_is_brighter == (labels == 0)).mean() > 0.9


def test_images_of_one_class_differ(trained):
    images = trained.sample(np.zeros(50, int), rng(5)).astype(float)
    assert images.std(axis=0).mean() > 3
    assert len(np.unique(images.reshape(50, -1), axis=0)) == 50


def test_a_sample_depends_on_labels_and_generator_alone(trained):
    images = trained.sample([0, 1, 1], rng(3))
    assert images.shape == (3, 1, 8, 8)
    assert images.dtype == np.uint8
    assert (images == trained.sample([0, 1, 1], rng(3))).all()
    assert (images != trained.sample([0, 1, 1], rng(4))).any()
    assert not (images[0] == trained.sample([1, 1, 1], rng(3))[0]).all()


def test_how_many_are_made_at_once_does_not_matter(trained, monkeypatch):
    labels = np.array([0, 1] * 10)
    together = trained.sample(labels, rng(3)).astype(int)
    monkeypatch.setattr(code, "SAMPLED_AT_ONCE", 3)
    # Float sums in another order may round a value to the next byte.
    assert np.abs(together - trained.sample(labels, rng(3))).max() <= 1


def test_a_saved_generator_is_the_same_one(trained, tmp_path):
    trained.save(tmp_path / "generator.safetensors")
    loaded = Generator.load(tmp_path / "generator.safetensors")
    assert (loaded.image_shape, loaded.n_classes) == ((1, 8, 8), 2)
    assert (loaded.sample([0, 1], rng(1)) == trained.sample([0, 1], rng(1))).all()
    assert [path.name for path in tmp_path.iterdir()] == ["generator.safetensors"]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 12, 12)])
def test_images_of_other_sides_and_channels(shape):
    source = rng()
    pool = Pool(source.integers(0, 256, (20, *shape), dtype=np.uint8), source.integers(0, 3, 20), n_classes=3)
    generator = train_gan(pool, n_steps=1, batch_size=4, width=4, rng=rng())
    assert generator.sample([0, 1, 2], rng()).shape == (3, *shape)


def test_the_same_seed_gives_the_same_generator():
    first, second, other = (
        weights(train_gan(digits(), n_steps=3, batch_size=8, width=4, rng=rng(s))) for s in (1, 1, 2)
    )
    assert same(first, second)
    assert not same(first, other)


def test_torchs_own_generator_is_neither_used_nor_moved():
    before = torch.get_rng_state()
    first = weights(train_gan(digits(), n_steps=2, batch_size=8, width=4, rng=rng()))
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng():
        torch.manual_seed(123)
        assert same(first, weights(train_gan(digits(), n_steps=2, batch_size=8, width=4, rng=rng())))


@pytest.mark.parametrize("killed_after", [4, 6])
def test_a_killed_training_goes_on_to_the_same_generator(tmp_path, monkeypatch, killed_after):
    """At a checkpoint, and two steps past one: those two are done again."""
    monkeypatch.setattr(trainer, "CHECKPOINT_STEPS", 4)
    given = {"n_steps": 11, "batch_size": 8, "width": 4}
    whole = weights(train_gan(digits(), **given, rng=rng()))
    seen = []

    def kill(fraction):
        seen.append(fraction)
        if len(seen) == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_gan(digits(), **given, rng=rng(), folder=tmp_path, report=kill)
    seen.clear()
    resumed = train_gan(digits(), **given, rng=rng(), folder=tmp_path, report=seen.append)
    assert len(seen) == 7
    assert seen[-1] == 1
    assert same(weights(resumed), whole)
    # A training that is over is not done again.
    seen.clear()
    assert same(weights(train_gan(digits(), **given, rng=rng(), folder=tmp_path, report=seen.append)), whole)
    assert not seen
    assert [path.name for path in tmp_path.iterdir()] == ["training.safetensors"]


@pytest.mark.parametrize("how", ["flipped", "cut", "no checksum"])
def test_a_damaged_state_is_named_and_the_training_begins_again(tmp_path, how):
    given = {"n_steps": 3, "batch_size": 8, "width": 4, "folder": tmp_path}
    whole, path = weights(train_gan(digits(), **given, rng=rng())), tmp_path / "training.safetensors"
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[-5] ^= 1
    elif how == "cut":
        del content[-5:]
    else:
        content[content.index(b"sha256")] ^= 1
    path.write_bytes(content)
    with pytest.warns(DamagedFile, match="training.safetensors .*: it is made again from the first step"):
        assert same(weights(train_gan(digits(), **given, rng=rng())), whole)
    assert same(weights(train_gan(digits(), **given, rng=rng())), whole)


def test_a_damaged_generator_is_refused(tmp_path):
    made = train_gan(digits(), n_steps=1, batch_size=8, width=4, rng=rng())
    made.save(tmp_path / "g.safetensors")
    content = bytearray((tmp_path / "g.safetensors").read_bytes())
    content[-5] ^= 1
    (tmp_path / "g.safetensors").write_bytes(content)
    with pytest.raises(DataFileError, match="is damaged: it does not have the checksum of its content"):
        type(made).load(tmp_path / "g.safetensors")


@pytest.mark.parametrize("change", [{"n_steps": 3}, {"width": 5}, {"batch_size": 4}, {"rng": rng(7)}])
def test_the_folder_of_another_training_is_refused(tmp_path, change):
    given = {"n_steps": 2, "batch_size": 8, "width": 4, "rng": rng()}
    train_gan(digits(), **given, folder=tmp_path)
    with pytest.raises(StorageError, match="another generator"):
        train_gan(digits(), **{**given, "rng": rng(), **change}, folder=tmp_path)


def test_a_training_keeps_all_that_the_next_step_depends_on(tmp_path):
    """A step after `restore` changes every tensor as it does without."""
    straight = code.Training(digits(), 1, 10, 8, 4, "cpu")
    for _ in range(3):
        straight.step()
    straight.keep(tmp_path / "t.safetensors")
    again = code.Training(digits(), 1, 10, 8, 4, "cpu")
    again.restore(tmp_path / "t.safetensors")
    straight.step()
    again.step()
    for name, module in straight.modules.items():
        assert same(dict(module.state_dict()), dict(again.modules[name].state_dict()))


def test_rates_fall_linearly_to_nothing():
    training = code.Training(digits(), 1, 4, 8, 4, "cpu")
    for left in (1, 0.75, 0.5, 0.25):
        training.step()
        found = {name: optimiser.param_groups[0]["lr"] for name, optimiser in training.optimisers.items()}
        assert found == {"images": left * code.LR_GENERATOR, "critic": left * code.LR_DISCRIMINATOR}


def test_every_weight_of_the_discriminator_has_norm_one_at_most():
    critic = code.Discriminator((1, 8, 8), 3, 8).train()
    with torch.no_grad():
        for _ in range(30):  # the norm is found by power iteration, a step a call
            critic(torch.rand(2, 1, 8, 8), torch.tensor([0, 1]))
    for layer in (*critic.halvings, critic.last, critic.score, critic.classes):
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_the_statistics_are_those_of_the_averaged_weights():
    training = code.Training(digits(), 1, 4, 8, 4, "cpu")
    network, _ = training.train(None, lambda fraction: None)
    generator = Generator(network)
    assert same(dict(generator.network.named_parameters()), dict(training.average.named_parameters()))
    labels = torch.from_numpy(digits().labels[rng().integers(0, 100, 4000)])
    z = torch.from_numpy(rng().standard_normal((4000, code.LATENT), dtype=np.float32))
    values = generator.network.first(z) + generator.network.classes(labels)
    means = values.unflatten(1, generator.network.start).var(dim=(0, 2, 3))
    torch.testing.assert_close(generator.network.norms[0].norm.running_var, means, rtol=0.15, atol=0)


def without_labels():
    return Pool(digits().inputs)


@pytest.mark.parametrize(
    ("pool", "change", "message"),
    [
        (without_labels(), {}, "needs labels"),
        (seepage.load("digits"), {}, "uint8 images"),
        (Pool(np.zeros((4, 1, 8, 12), np.uint8), [0, 1, 0, 1]), {}, "square"),
        (Pool(np.zeros((4, 1, 27, 27), np.uint8), [0, 1, 0, 1]), {}, "got 27: resize"),
        (Pool(np.zeros((4, 1, 4, 4), np.uint8), [0, 1, 0, 1]), {}, "got 4: resize"),
        (digits(), {"n_steps": 0}, "n_steps must be a positive"),
        (digits(), {"width": 2.5}, "width must be a positive"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(pool, change, message):
    with pytest.raises(InputError, match=message):
        train_gan(pool, **{"n_steps": 1, "rng": rng(), **change})


def test_labels_that_the_generator_does_not_know_are_refused(trained):
    with pytest.raises(InputError):
        trained.sample([0, 2], rng())


def test_other_files_are_no_generators(trained, tmp_path):
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(DataFileError, match="not a usable safetensors file"):
        Generator.load(tmp_path / "text.safetensors")
    with pytest.raises(DataFileError, match="there is no file"):
        Generator.load(tmp_path / "missing.safetensors")
    safetensors.torch.save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(DataFileError, match="not a generator"):
        Generator.load(tmp_path / "other.safetensors")
    about = {"about": json.dumps({"schema": code.SCHEMA, **trained.network.options, "width": 9})}
    safetensors.torch.save_file(weights(trained), tmp_path / "wrong.safetensors", metadata=about)
    with pytest.raises(DataFileError, match="do not have the shapes"):
        Generator.load(tmp_path / "wrong.safetensors")
