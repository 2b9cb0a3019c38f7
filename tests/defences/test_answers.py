import copy
import math
import pickle

import numpy as np
import pytest
import torch

import seepage
from seepage.defences.answers import leading, log_of
from seepage.defences.coarse import LabelOnly, Rounding, TopK
from seepage.defences.gaussian_noise import GaussianNoise
from seepage.defences.laplace import Laplace
from seepage.defences.memguard import MemGuard
from seepage.defences.output_modification import OutputModification
from seepage.defences.temperature import Temperature
from seepage.errors import InputError
from seepage.models.held_out import HeldOut
from seepage.models.records import Records
from seepage.models.temperature import fit_temperature
from tests.reference import wrappers as naive


def inner():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return torch.nn.Linear(6, 4).eval()


def pool():
    """Records whose label the inner model gives in two of three."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(120, 6)).astype(np.float32)
    with torch.no_grad():
        given = inner()(torch.from_numpy(inputs)).argmax(1).numpy()
    return seepage.Pool(inputs, np.where(rng.random(120) < 2 / 3, given, rng.integers(0, 4, 120)), n_classes=4)


POOL = pool()
RECORDS, MEMBERS = Records.of(POOL), np.arange(40)
HELD_OUT = HeldOut(validation=np.arange(40, 80), population=np.arange(80, 120))
X = RECORDS.inputs
LEAST = np.float32(math.log(1e-45))

WRAPPERS = {
    "rounding": Rounding(),
    "top-k": TopK(),
    "top-k-zero": TopK(k=2, rest="zero"),
    "label-only": LabelOnly(),
    "temperature": Temperature(),
    "temperature-3": Temperature(3.0),
    "laplace": Laplace(),
    "noise": GaussianNoise(),
    "noise-fresh-logits": GaussianNoise(on="logits", randomness="fresh", keep_label=False),
    "memguard": MemGuard(epochs=20, lr=0.1),
    "memguard-budget": MemGuard(epochs=20, lr=0.1, budget=0.1),
    "output-modification": OutputModification(),
    "output-modification-fresh": OutputModification(randomness="fresh", ties="official"),
}


def fitted(wrapper, module=None, seed=5):
    return wrapper.fit(module or inner(), RECORDS, MEMBERS, HELD_OUT, seed=seed)


@torch.no_grad()
def ask(module, x=X, batch=None):
    return torch.cat([module(part) for part in x.split(batch or len(x))])


def logits(n=200, n_classes=6, scale=4.0):
    return torch.randn(n, n_classes, generator=torch.Generator().manual_seed(1)) * scale


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_holds_of_every_wrapped_module(name):
    module = inner()
    before = copy.deepcopy(module.state_dict())
    wrapped = fitted(WRAPPERS[name], module)
    assert not wrapped.training
    copies = copy.deepcopy(wrapped), pickle.loads(pickle.dumps(wrapped))
    loaded = WRAPPERS[name].around(inner(), (6,), 4).eval()
    loaded.load_state_dict(wrapped.state_dict())
    repeated, in_parts, with_gradients = fitted(WRAPPERS[name]), copy.deepcopy(wrapped), copy.deepcopy(wrapped)
    x = X[:16]
    answers = ask(wrapped, x)
    assert answers.shape == (16, 4)
    assert answers.dtype == torch.float32
    assert answers.isfinite().all()
    for other in (*copies, loaded, repeated):
        assert torch.equal(ask(other, x), answers)
    torch.testing.assert_close(ask(in_parts, x, batch=7), answers)
    # An answer with gradient recording on, as some callers have it, is the same answer.
    torch.testing.assert_close(with_gradients(x), answers)
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in before.items())
    assert wrapped.module is module


@pytest.mark.parametrize("name", [name for name in WRAPPERS if "output" not in name])
def test_a_recipe_trains_models_that_answer_through_it(name):
    recipe = seepage.Recipe(seepage.MLP, epochs=1)
    defended = WRAPPERS[name].apply(recipe)
    assert defended.wrapper == WRAPPERS[name]
    assert defended.uses == WRAPPERS[name].uses
    assert defended.is_registered
    assert defended.fingerprint != recipe.fingerprint
    with pytest.raises(InputError, match="wraps the answers"):
        WRAPPERS[name].apply(defended)
    for options in WRAPPERS[name].grid:
        type(WRAPPERS[name])(**options)


def test_which_held_out_records_each_needs():
    uses = {name: set(WRAPPERS[name].uses) for name in WRAPPERS if WRAPPERS[name].uses}
    assert uses == {
        "temperature": {"validation"},
        "laplace": {"validation"},
        "memguard": {"population"},
        "memguard-budget": {"population"},
    }
    assert MemGuard(nonmembers="validation").uses == {"validation"}
    for wrapper, whose in ((Temperature(), "temperature"), (MemGuard(), "memguard")):
        with pytest.raises(InputError, match=f"{whose} needs"):
            wrapper.fit(inner(), RECORDS, MEMBERS, HeldOut(), seed=0)


@pytest.mark.parametrize("decimals", [0, 1, 3])
def test_rounding(decimals):
    z = logits()
    expected = [naive.rounded(row, decimals) for row in z.double().tolist()]
    np.testing.assert_allclose(Rounding(decimals).answer(z).numpy(), expected, rtol=1e-6, atol=1e-6)


def test_rounding_of_hand_made_probabilities():
    z = torch.tensor([[0.614, 0.382, 0.004]]).log()
    np.testing.assert_allclose(Rounding(2).answer(z).exp(), [[0.61, 0.38, 0.0]], atol=1e-6)
    assert Rounding(2).answer(z)[0, 2] == LEAST
    # Nine decimals change nothing that float32 holds.
    np.testing.assert_allclose(Rounding(9).answer(z).exp(), z.exp(), atol=1e-7)
    # A hundred equal classes all round to nothing.
    assert (Rounding(1).answer(torch.zeros(1, 100)) == LEAST).all()


@pytest.mark.parametrize("rest", ["share", "zero"])
@pytest.mark.parametrize("k", [1, 3, 6])
def test_top_k(k, rest):
    z = torch.cat([logits(), logits().round() / 4])  # the second half ties
    answers = TopK(k, rest).answer(z)
    expected = [naive.top(row, k, rest) for row in z.double().tolist()]
    np.testing.assert_allclose(answers.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(answers.argmax(1), z.argmax(1))
    if rest == "share":
        torch.testing.assert_close(answers.double().exp().sum(1), torch.ones(len(z)).double(), atol=1e-5, rtol=0)


def test_what_is_shared_keeps_its_size_where_float32_has_none_left():
    answers = TopK(1).answer(torch.tensor([[60.0, 0.0, 0.0]]))
    np.testing.assert_allclose(answers, [[0.0, -60.0, -60.0]], atol=1e-4)


def test_label_only_says_the_label_and_nothing_else():
    z = logits()
    answers = LabelOnly().answer(z)
    assert torch.equal(answers.argmax(1), z.argmax(1))
    assert set(answers.unique().tolist()) == {0.0, float(LEAST)}
    assert LabelOnly().answer(torch.tensor([[1.0, 1.0]])).tolist() == [[0.0, float(LEAST)]]
    # That is TopK of one class without the size of its probability.
    assert torch.equal(answers, LabelOnly().answer(TopK(1, "zero").answer(z)))


def test_temperature():
    own = ask(inner())
    torch.testing.assert_close(ask(fitted(Temperature(3.0))), own / 3)
    torch.testing.assert_close(ask(fitted(Temperature(1.0))), own)
    rows = HELD_OUT.validation
    best = fit_temperature(own[rows].numpy(), POOL.labels[rows])
    wrapped = fitted(Temperature())
    torch.testing.assert_close(wrapped.temperature.item(), best, rtol=1e-6, atol=0)
    torch.testing.assert_close(ask(wrapped), own / best, rtol=1e-5, atol=1e-6)
    # Other validation records, another temperature.
    other = Temperature().fit(inner(), RECORDS, MEMBERS, HeldOut(validation=np.arange(90, 120)), seed=5)
    assert abs(other.temperature.item() - best) > 1e-3


@pytest.mark.parametrize("on", ["logits", "probabilities"])
def test_noise_is_that_of_the_naive_implementation(on):
    own = ask(inner())
    base = own if on == "logits" else own.softmax(1)
    noise = np.stack([naive.generator(5, x).standard_normal(4, dtype=np.float32) for x in X.numpy()])
    expected = base.numpy() + 0.2 * noise
    if on == "probabilities":
        expected = np.log(np.maximum(expected.astype(np.float64), 1e-45))
    answers = ask(fitted(GaussianNoise(0.2, on=on, keep_label=False)))
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5)
    changed = answers.argmax(1) != own.argmax(1)
    assert 0.05 < changed.float().mean() < 0.9
    kept = ask(fitted(GaussianNoise(0.2, on=on)))
    assert torch.equal(kept.argmax(1), own.argmax(1))
    # Values change places, and no other value comes in.
    torch.testing.assert_close(kept.sort(1).values, answers.sort(1).values, atol=2e-4, rtol=0)
    torch.testing.assert_close(kept[~changed], answers[~changed])


def test_noise_of_no_size_changes_nothing_and_fresh_noise_averages_out():
    own = ask(inner())
    torch.testing.assert_close(ask(fitted(GaussianNoise(0.0, on="logits"))), own)
    torch.testing.assert_close(ask(fitted(GaussianNoise(0.0))), own.log_softmax(1), atol=1e-5, rtol=0)
    fresh = fitted(GaussianNoise(1.0, on="logits", randomness="fresh", keep_label=False))
    many = ask(fresh, X[:1].expand(4000, -1))
    np.testing.assert_allclose(many.mean(0), own[0], atol=0.08)
    np.testing.assert_allclose(many.std(0), 1.0, atol=0.05)
    once = ask(fitted(GaussianNoise(1.0, on="logits")), X[:1].expand(50, -1))
    torch.testing.assert_close(once, once[:1].expand(50, -1))


def test_noise_keeps_the_label_where_every_probability_falls_to_nothing():
    wrapped = fitted(GaussianNoise(100.0))
    answers = ask(wrapped)
    assert (answers.sort(1).values[:, -1] < -100).any()
    assert torch.equal(answers.argmax(1), ask(wrapped.module).argmax(1))


def test_the_leading_class():
    values = torch.tensor([[3.0, 1.0, 2.0], [2.0, 2.0, 0.0], [5.0, 1.0, 1.0]])
    led = leading(values, torch.tensor([1, 1, 0]))
    assert led[0].tolist() == [1.0, 3.0, 2.0]
    assert led[1, 1] > led[1, 0] == 2.0
    assert led[2].tolist() == values[2].tolist()


def test_the_log_of_nothing_is_that_of_the_smallest_probability():
    assert log_of(torch.tensor([[1.0, 0.0]])).tolist() == [[0.0, float(LEAST)]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rounding(-1), "decimals"),
        (lambda: Rounding(1.5), "decimals"),
        (lambda: TopK(0), "k must be"),
        (lambda: TopK(rest="some"), "rest must be one of share, zero"),
        (lambda: fitted(TopK(5)), "at most 4"),
        (lambda: Temperature(0.0), "above 0"),
        (lambda: Temperature("hot"), "above 0"),
        (lambda: GaussianNoise(-1.0), "deviation"),
        (lambda: GaussianNoise(on="labels"), "on must be one of probabilities, logits"),
        (lambda: GaussianNoise(randomness="once"), "randomness must be one of"),
        (lambda: GaussianNoise(keep_label=1), "keep_label"),
    ],
)
def test_options_that_cannot_be(make, message):
    with pytest.raises(InputError, match=message):
        make()
