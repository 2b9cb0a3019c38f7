import numpy as np
import pytest
import torch

import seepage
from seepage.defences.memguard import MembershipClassifier, MemGuard, noise_shares, undecided_logits
from seepage.errors import InputError
from seepage.models.held_out import HeldOut
from seepage.models.records import Records
from tests.reference import wrappers as naive


def classifier(n_classes=5, slope=1.0, bias=0.0, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = MembershipClassifier((n_classes,)).double().requires_grad_(False)
    made[-1].weight.mul_(slope)
    made[-1].bias.fill_(bias)
    return made


def layers_of(made):
    return [(part.weight.numpy(), part.bias.numpy()) for part in made if isinstance(part, torch.nn.Linear)]


def ascending(n=40, n_classes=5, scale=2.0):
    z = torch.randn(n, n_classes, generator=torch.Generator().manual_seed(2)).double() * scale
    return z.sort(1).values


@torch.no_grad()
def membership(made, e):
    return made(e.softmax(1)).squeeze(1)


def divided(z, slope):
    """A classifier that takes half of these records for members."""
    made = classifier(slope=slope)
    made[-1].bias.sub_(membership(made, z).median())
    return made


@pytest.mark.parametrize(("slope", "least"), [(1.0, 0.05), (10.0, 0.5)])
def test_finds_what_the_naive_implementation_finds(slope, least):
    z = ascending(24)
    made = divided(z, slope)
    found = undecided_logits(z, made)
    expected = np.stack([naive.memguard(row, layers_of(made)) for row in z.numpy()])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)
    changed = (found != z).any(1)
    assert changed.float().mean() > least
    # Each success has its label still, and is past one half.
    assert (found[:, -1] > found[:, :-1].amax(1)).all()
    h, h_before = membership(made, found), membership(made, z)
    assert (h * h_before <= 0)[changed].all()


def test_an_answer_does_not_depend_on_the_others_in_its_batch():
    z = ascending(12)
    made = divided(z, 10.0)
    whole = undecided_logits(z, made)
    assert (whole != z).any()
    parts = torch.cat([undecided_logits(part, made) for part in z.flip(0).split(3)]).flip(0)
    torch.testing.assert_close(parts, whole, atol=1e-9, rtol=0)


def test_a_classifier_that_cannot_be_moved_or_need_not_be_gets_no_noise():
    z = ascending(6)
    for bias in (5.0, 0.0):
        assert torch.equal(undecided_logits(z, classifier(slope=0.0, bias=bias)), z)


class Confidence(torch.nn.Module):
    """Logits of five classes from two features: the label's number, and by how much it leads."""

    def forward(self, x):
        label = torch.nn.functional.one_hot(x[:, 0].long(), 5)
        return label * x[:, 1:2] + 0.1 * torch.arange(5) * (1 - label)


def planted(n=100):
    """The first half are members, and answered with more confidence."""
    rng = np.random.default_rng(0)
    lead = np.concatenate([rng.normal(5.0, 0.5, n), rng.normal(2.0, 0.5, n)])
    inputs = np.stack([rng.integers(0, 5, 2 * n), lead], axis=1).astype(np.float32)
    return Records.of(seepage.Pool(inputs, np.arange(2 * n) % 5))


# Trained faster than in the code: 100 records and 60 passes instead of 2,000 and 400.
FAST = {"epochs": 60, "lr": 0.1}
LEAKY = planted()


def guard(**options):
    return MemGuard(**FAST, **options).fit(
        Confidence().eval(), LEAKY, np.arange(50), HeldOut(population=np.arange(100, 150)), seed=3
    )


GUARDED = guard()


@torch.no_grad()
def outputs(wrapped):
    return wrapped.module(LEAKY.inputs), wrapped(LEAKY.inputs)


def believed(answers):
    scores = answers.double().softmax(1).sort(1).values
    with torch.no_grad():
        return GUARDED.classifier(scores).squeeze(1).sigmoid().numpy()


def test_a_planted_leak_is_found_by_the_classifier_and_not_after_the_noise():
    plain, answers = outputs(GUARDED)
    is_member = np.arange(200) < 100
    assert ((believed(plain) > 0.5) == is_member).mean() > 0.97  # on records that it was not trained on too
    assert np.abs(believed(plain) - 0.5).mean() > 0.2
    after = believed(answers)
    assert np.abs(after - 0.5).max() < 0.1
    assert ((after > 0.5) == is_member).mean() < 0.5
    assert torch.equal(plain.argmax(1), answers.argmax(1))
    # The weight of distance keeps the noise small: no score moves by more than it takes.
    distance = (plain.softmax(1) - answers.softmax(1)).abs().sum(1)
    assert 0.0 < distance.mean() < 0.5


def test_a_greater_weight_of_distance_is_taken_as_long_as_it_succeeds(monkeypatch):
    plain, answers = outputs(GUARDED)
    monkeypatch.setattr("seepage.defences.memguard.C_DISTANCE", (0.1,))
    _, coarse = outputs(GUARDED)
    fine, first = ((plain.softmax(1) - a.softmax(1)).abs().sum(1).mean() for a in (answers, coarse))
    assert fine <= first


@pytest.mark.parametrize("budget", [0.05, 0.3])
def test_the_expected_distance_stays_within_the_budget(budget):
    wrapped = guard(budget=budget)
    plain, all_noisy = outputs(GUARDED)
    _, answers = outputs(wrapped)
    before, after = believed(plain), believed(all_noisy)
    p, q = (a.double().softmax(1).numpy() for a in (plain, all_noisy))
    shares = np.array([naive.noise_share(*four, budget) for four in zip(p, q, before, after, strict=True)])
    distance = np.abs(p - q).sum(1)
    assert (shares * distance <= budget + 1e-12).all()
    drawn = np.array([naive.generator(3, x).random() for x in LEAKY.inputs.numpy()])
    expected = torch.where(torch.from_numpy(drawn < shares)[:, None], all_noisy, plain)
    torch.testing.assert_close(answers, expected)
    assert 0 < (drawn < shares).mean() <= 1
    assert np.abs(answers.softmax(1).numpy() - p).sum(1).mean() < budget * 1.3


def test_the_budgets_limits():
    plain, all_noisy = outputs(GUARDED)
    assert torch.equal(outputs(guard(budget=0))[1], plain)
    # No distance is greater than 2: what is nearer to one half is answered, always.
    nearer = np.abs(believed(all_noisy) - 0.5) < np.abs(believed(plain) - 0.5)
    assert nearer.mean() > 0.9
    answers = outputs(guard(budget=2.0))[1]
    torch.testing.assert_close(answers, torch.where(torch.from_numpy(nearer)[:, None], all_noisy, plain))


def test_noise_that_leaves_the_classifier_surer_is_not_answered():
    z = ascending()
    made = divided(z, 5.0)
    shares = noise_shares(z, ascending(scale=0.1), made, 2.0)
    nearer = (membership(made, ascending(scale=0.1)).sigmoid() - 0.5).abs() < (
        membership(made, z).sigmoid() - 0.5
    ).abs()
    assert 0 < nearer.float().mean() < 1
    assert torch.equal(shares > 0, nearer)
    assert (noise_shares(z, z, made, 0.0) == 0).all()


def test_ties_at_the_top_keep_the_first_as_the_label():
    class Tied(torch.nn.Module):
        def forward(self, x):
            return torch.tensor([[1.0, 3.0, 3.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0, 3.0]])[x[:, 0].long() % 2]

    records = planted(60)
    wrapped = MemGuard(**FAST).fit(Tied(), records, np.arange(30), HeldOut(population=np.arange(60, 90)), seed=3)
    with torch.no_grad():
        answers = wrapped(records.inputs)
    assert torch.equal(answers.argmax(1), wrapped.module(records.inputs).argmax(1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nonmembers": "others"}, "nonmembers must be one of"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"lr": 0.0}, "lr must be"),
        ({"budget": -0.1}, "budget must be"),
        ({"budget": 3.0}, "budget must be"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        MemGuard(**options)
