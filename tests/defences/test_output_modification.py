import copy
import functools

import numpy as np
import pytest
import torch

import seepage
from seepage.defences.output_modification import OutputModification, modified, modified_officially
from seepage.errors import InputError
from seepage.models.held_out import HeldOut
from seepage.models.records import Records
from seepage.models.train import train_models
from tests.reference import wrappers as naive

GENERATOR = torch.Generator().manual_seed(0)


def inner(n_features=6, n_classes=4, seed=3):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(n_features, n_classes)).eval()


def records_of(inputs, scale=1.0):
    pool = seepage.Pool(inputs, np.arange(len(inputs)) % 4, scale=scale)
    return Records.of(pool)


NOISE = records_of(np.random.default_rng(1).normal(size=(60, 6)).astype(np.float32))


def wrap(options=None, records=NOISE, members=None, seed=5):
    members = np.arange(30) if members is None else members
    n_features = records.inputs[0].numel()
    return (options or OutputModification()).fit(inner(n_features), records, members, HeldOut(), seed=seed)


@torch.no_grad()
def ask(wrapped, x, batch=None):
    return torch.cat([wrapped(part) for part in x.split(batch or len(x))])


def with_ties(n, n_classes=5, levels=3):
    return torch.randint(levels, (n, n_classes), generator=GENERATOR).float()


def test_the_label_is_kept_in_100000_answers_whatever_ties():
    z, r = with_ties(100_000), with_ties(100_000)
    answers = modified(z, r)
    labels = z.argmax(1)
    assert torch.equal(answers.argmax(1), labels)
    # As the one largest, which a float32 softmax still shows.
    p = answers.softmax(1)
    others = p.scatter(1, labels[:, None], -1).amax(1)
    assert (p.gather(1, labels[:, None]).squeeze(1) > others).all()
    torch.testing.assert_close(answers.sort(1).values, r.sort(1).values, atol=1e-5, rtol=0)


def test_the_official_form_changes_labels_where_the_random_answer_ties_at_its_top():
    z, r = torch.randn(20_000, 5, generator=GENERATOR), with_ties(20_000)
    changed = modified_officially(z, r).argmax(1) != z.argmax(1)
    two = r.sort(1, descending=True).values
    is_tied = two[:, 0] == two[:, 1]
    assert not changed[~is_tied].any()
    assert changed[is_tied].float().mean() > 0.3


def test_only_the_order_is_the_records():
    z, r = torch.randn(500, 6, generator=GENERATOR), torch.randn(500, 6, generator=GENERATOR)
    for form in (modified, modified_officially):
        assert torch.equal(form(z, r).argsort(1), z.argsort(1))
        assert torch.equal(form(z, r), form(7 * z + 2, r))  # nothing but the order of z
        assert torch.equal(form(z, r).sort(1).values, r.sort(1).values)


@pytest.mark.parametrize("tied", [False, True])
def test_agrees_with_the_naive_implementation(tied):
    draw = with_ties if tied else lambda n: torch.randn(n, 5, generator=GENERATOR)
    z, r = draw(200), draw(200)
    for form, other in ((modified, naive.modified), (modified_officially, naive.modified_officially)):
        expected = [other(a, b) for a, b in zip(z.tolist(), r.tolist(), strict=True)]
        np.testing.assert_allclose(form(z, r).numpy(), expected, rtol=1e-6)


def test_the_random_input_is_that_of_the_naive_implementation():
    bits = records_of((np.random.default_rng(0).random((20, 6)) < 0.5).astype(np.uint8))
    wrapped, x = wrap(records=bits, members=np.arange(10)), bits.batch(torch.arange(20))
    expected = [naive.generator(5, record).random(6, dtype=np.float32) >= 0.5 for record in x.numpy()]
    assert np.array_equal(wrapped.random_inputs(x).numpy(), expected)
    with torch.no_grad():
        r = wrapped.module(torch.from_numpy(np.array(expected, dtype=np.float32)))
        answers = [naive.modified(a, b) for a, b in zip(wrapped.module(x).tolist(), r.tolist(), strict=True)]
    np.testing.assert_allclose(ask(wrapped, x).numpy(), answers, rtol=1e-5, atol=1e-6)


def test_a_record_gets_the_same_answer_again_and_another_model_gives_another():
    x = NOISE.inputs
    wrapped = wrap()
    once = ask(wrapped, x)
    assert torch.equal(ask(wrapped, x), once)
    torch.testing.assert_close(ask(wrapped, x.flip(0), batch=7).flip(0), once)
    assert (ask(wrap(seed=6), x) != once).any(1).all()
    assert (ask(wrapped, x + 1e-6) != once).any(1).all()  # nearly the same question is another question


def test_fresh_answers_differ_in_values_and_not_in_order():
    x = NOISE.inputs
    wrapped = wrap(OutputModification(randomness="fresh"))
    again = copy.deepcopy(wrapped)
    first, second = ask(wrapped, x), ask(wrapped, x)
    assert (first != second).any(1).all()
    assert torch.equal(first.argsort(1), second.argsort(1))
    assert int(wrapped.questions) == 120
    # The same questions in the same order, in other batches.
    torch.testing.assert_close(ask(again, torch.cat([x, x]), batch=11), torch.cat([first, second]))


def test_the_mean_of_fresh_answers_says_nothing_but_the_order():
    wrapped = wrap(OutputModification(randomness="fresh"))
    x = NOISE.inputs[:2]
    means = torch.stack([ask(wrapped, record.expand(4000, -1)).mean(0) for record in x])
    with torch.no_grad():
        own = wrapped.module(x)
    torch.testing.assert_close(means[0].sort().values, means[1].sort().values, atol=0.05, rtol=0)
    assert (own.sort(1).values[0] - own.sort(1).values[1]).abs().max() > 0.5  # where the model's own tell them apart
    assert torch.equal(means.argsort(1), own.argsort(1))


def test_values_are_drawn_in_the_models_input_space():
    rng = np.random.default_rng(2)
    images = records_of(rng.integers(0, 256, (40, 3, 4, 4)).astype(np.uint8), scale=1 / 255)
    drawn = wrap(records=images).random_inputs(images.batch(torch.arange(40)))
    assert drawn.shape == (40, 3, 4, 4)
    pixels = drawn * 255
    torch.testing.assert_close(pixels, pixels.round(), atol=1e-4, rtol=0)
    assert (pixels.min().round(), pixels.max().round()) == (0, 254)
    bits = records_of((rng.random((40, 50)) < 0.1).astype(np.uint8))
    drawn = wrap(records=bits).random_inputs(bits.batch(torch.arange(40)))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert abs(drawn.mean() - 0.5) < 0.05  # whatever the data's own share
    spread = records_of((rng.normal(size=(400, 6)) * [1, 2, 3, 4, 5, 0] + 7).astype(np.float32))
    members = np.arange(100)
    drawn = wrap(records=spread, members=members).random_inputs(spread.inputs)
    low, high = spread.inputs[:100].amin(0), spread.inputs[:100].amax(0)
    assert ((drawn >= low) & (drawn <= high)).all()
    assert (drawn.amax(0) - drawn.amin(0) >= 0.95 * (high - low)).all()


def test_named_values_go_before_what_the_pool_suggests():
    bits = records_of((np.random.default_rng(0).random((40, 6)) < 0.5).astype(np.uint8))
    x = bits.batch(torch.arange(40))
    drawn = wrap(OutputModification(values="range"), bits).random_inputs(x)
    assert len(drawn.unique()) > 100
    drawn = wrap(OutputModification(values="bytes"), bits).random_inputs(x)
    assert drawn.max() > 200
    assert set(wrap(OutputModification(values="binary")).random_inputs(NOISE.inputs).unique().tolist()) == {0, 1}


def test_members_and_others_are_answered_with_less_confidence():
    pool = seepage.load("digits")
    recipe = seepage.Recipe(functools.partial(seepage.MLP, hidden=(32,)), seepage.Adam(0.01), epochs=20, batch_size=32)
    records, members = Records.of(pool), np.arange(300)
    (module,) = train_models(recipe, records, [members], [1])
    wrapped = OutputModification().fit(module, records, members, HeldOut(), seed=1)
    x = records.inputs[:600]
    with torch.no_grad():
        plain, changed = (f(x).softmax(1) for f in (module, wrapped))
    entropy = [-(p * p.clamp_min(1e-30).log()).sum(1)[300:].mean() for p in (plain, changed)]
    assert entropy[1] > 2 * entropy[0]
    confidence = changed.amax(1)
    assert abs(confidence[:300].mean() - confidence[300:].mean()) < 0.04  # the members' is no other
    assert torch.equal(plain.argmax(1), changed.argmax(1))


@pytest.mark.parametrize(
    ("option", "message"),
    [({"randomness": "once"}, "randomness"), ({"values": "bits"}, "values"), ({"ties": "none"}, "ties")],
)
def test_options_that_are_not_there(option, message):
    with pytest.raises(InputError, match=f"{message} must be one of"):
        OutputModification(**option)
