from dataclasses import replace

import numpy as np
import pytest
import torch

from seepage.errors import InputError
from seepage.schema.estimates import Estimate
from seepage.schema.inversion import Reconstructed
from seepage.studies.invert import baselines, judging
from seepage.studies.invert.evidence import Evidence, evaluator_info, texture, top
from seepage.studies.invert.judging import is_adversarial, judge, judged, see
from tests.reference import inversion as naive
from tests.studies.invert.judges import N_CLASSES, SHAPE, Pixels, shots

EVERY = np.arange(N_CLASSES)
LABELS = np.repeat(EVERY, 3)
ALL = np.ones(len(LABELS), bool)


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(n=36, seed=9):
    return torch.from_numpy(rng(seed).random((n, *SHAPE), dtype=np.float32))


def private(seed=1):
    labels = np.repeat(EVERY, 6)
    return shots(labels, seed), labels


def closed(evaluator, *sides):
    """A judge that knows private classes alone and rejects nothing: all of these images are easy."""
    return replace(Evidence.between(evaluator, *sides), threshold=None)


@pytest.fixture(scope="module")
def evidence():
    return closed(Pixels(), private(1), private(2))


def random_codes(evidence):
    return {"random-code": evidence.recognised(noise(seed=3), LABELS)}


def judgement(images, evidence, target_hits=ALL, others=None):
    return judge(images, LABELS, target_hits, evidence, random_codes(evidence) if others is None else others, rng=rng())


def test_images_of_the_class_are_recognised_and_are_no_records(evidence):
    found = judgement(shots(LABELS, seed=4), evidence)
    assert (found.accuracy.value, found.accuracy_top_5.value, found.target_accuracy.value) == (1, 1, 1)
    assert found.accuracy.low == pytest.approx(0.025 ** (1 / 12))  # twelve of twelve classes
    assert found.advantage.value == pytest.approx(1 - max(one.accuracy.value for one in found.baselines))
    assert found.p_value < 0.001
    assert not found.adversarial
    assert found.nearer_private.low < 0.5 < found.nearer_private.high
    assert found.distance_private.value == pytest.approx(found.distance_held_out.value, rel=0.3)
    assert found.kernel.low < 0 < found.kernel.high
    assert found.diversity.value == pytest.approx(1, abs=0.3)
    assert (found.n_images, found.n_classes, found.seeds) == (36, 12, [1.0])
    assert found.classes == {str(c): 1.0 for c in EVERY}


def test_copies_of_training_images_are_nearer_to_them(evidence):
    images, labels = private(1)
    found = judge(images, labels, np.ones(72, bool), evidence, {}, rng=rng())
    assert (found.nearer_private.value, found.distance_private.value) == (1, 0)
    assert found.distance_held_out.value > 0
    assert (found.frechet.value, found.diversity.value) == pytest.approx((0, 1), abs=1e-6)


def test_noise_is_no_better_than_the_baselines(evidence):
    found = judgement(noise(), evidence, target_hits=~ALL)
    assert found.accuracy.low <= 1 / 12 <= found.accuracy.high
    assert found.p_value > 0.05
    assert not found.adversarial
    assert found.kernel.low > 0


def test_images_that_convince_the_target_alone_are_adversarial(evidence):
    found = judgement(noise(), evidence)
    assert found.adversarial
    assert found.target_accuracy.value == 1


def test_a_judge_that_fails_on_real_images_finds_nothing_adversarial():
    real = noise(72, 5), np.repeat(EVERY, 6)
    found = judgement(noise(), closed(Pixels(), private(1), real))
    assert not found.adversarial


@pytest.mark.parametrize(
    ("target", "judge", "ceiling", "expected"),
    [
        ((0.9, 1.0), (0.0, 0.6), 1.0, True),
        ((0.9, 1.0), (0.0, 0.71), 1.0, False),
        ((0.9, 1.0), (0.0, 0.6), 0.8, False),
        ((None, None), (0.0, 0.6), 1.0, False),
        ((0.9, 1.0), (None, None), 1.0, False),
    ],
)
def test_the_rule_for_adversarial_images(target, judge, ceiling, expected):
    assert is_adversarial(Estimate.of(0.95, *target, 9), Estimate.of(0.1, *judge, 9), ceiling) == expected


def test_wrong_classes_and_chance_are_judged_beside(evidence):
    found = judgement(shots(LABELS, seed=4), evidence)
    rates = {one.name: one.accuracy.value for one in found.baselines}
    assert list(rates) == ["chance", "random-code", "wrong-class"]  # in the order of the report
    assert (rates["chance"], rates["wrong-class"]) == (1 / 12, 0)
    assert all(one.title and one.about for one in found.baselines)


def test_a_judge_that_always_says_the_same_class_gives_no_advantage(evidence):
    found = judgement(shots(np.full(36, 5), seed=4), evidence)
    rates = {one.name: one.accuracy.value for one in found.baselines}
    assert found.accuracy.value == rates["wrong-class"] == pytest.approx(1 / 12)
    assert found.p_value == 1 or found.p_value > 0.3


def test_the_best_baseline_is_the_one_to_beat(evidence):
    right = {"random-public": (ALL, LABELS), "random-code": (~ALL, LABELS)}
    found = judgement(shots(LABELS, seed=4), evidence, others=right)
    assert (found.advantage.value, found.p_value) == (0, 1)


def test_several_seeds_are_one_judgement(evidence):
    good = see(shots(LABELS, seed=4), LABELS, ALL, evidence, random_codes(evidence))
    bad = see(shots((LABELS + 1) % 12, seed=5), LABELS, ALL, evidence, random_codes(evidence))
    found = judged([good, bad], rng=rng())
    assert (found.accuracy.value, found.seeds, found.n_images, found.n_classes) == (0.5, [1, 0], 72, 12)
    assert found.classes["3"] == 0.5
    assert found.kernel.flag is None


def test_features_of_another_judge_are_another_space(evidence):
    other = closed(Pixels("another"), private(1), private(2))
    first = see(shots(LABELS, seed=4), LABELS, ALL, evidence, {})
    second = see(shots(LABELS, seed=5), LABELS, ALL, other, {})
    found = judged([first, second], rng=rng())
    alone = judged([first], rng=rng())
    assert found.kernel.value == alone.kernel.value
    assert found.kernel.flag == "without 1 seed, which had another judge"


def test_it_fills_a_result(evidence):
    found = judgement(shots(LABELS, seed=4), evidence)
    row = Reconstructed(**found.fields(), attack="gmi", p_value_holm=0.1, queries=1.0, seconds=0.1)
    assert row.baseline("chance").accuracy.value == 1 / 12


def test_one_attacked_class_has_values_and_no_intervals(evidence):
    labels = np.zeros(3, int)
    found = judge(shots(labels), labels, ALL[:3], evidence, {}, rng=rng())
    assert (found.accuracy.value, found.accuracy.low) == (1, None)
    assert [one.name for one in found.baselines] == ["chance"]
    assert not found.adversarial
    assert found.p_value == 0.5


def test_classes_that_are_not_attacked_are_not_compared_with():
    judge_ = Pixels()
    evidence = Evidence.between(judge_, private(1), private(2), attacked=(3, 7))
    assert judge_.asked == 12 + 72  # and the held-out ones of all classes, for the threshold
    assert set(evidence.held_out.labels) == {3, 7}
    assert set(evidence.private.labels) == {3, 7}
    labels = np.array([3, 7])
    found = judge(shots(labels), labels, ALL[:2], evidence, {"random-code": (ALL, LABELS)}, rng=rng())
    assert {one.name: one.accuracy.n for one in found.baselines} == {"chance": 2, "random-code": 2, "wrong-class": 2}


def test_with_fewer_than_ten_classes_the_top_five_say_nothing():
    class Four(Pixels):
        def look(self, images):
            answers, features = super().look(images)
            return answers[:, :4], features

    labels = np.repeat(np.arange(4), 3)
    evidence = Evidence.between(Four(), (shots(labels, 1), labels), (shots(labels, 2), labels))
    assert judge(shots(labels, 3), labels, ALL[:12], evidence, {}, rng=rng()).accuracy_top_5 is None
    assert evaluator_info([evidence], [], rng=rng()).accuracy_top_5 is None


def test_the_judge_is_reported_with_its_ceiling(evidence):
    labels = np.repeat(EVERY, 6)
    half = np.where(np.arange(72) % 2, labels, (labels + 1) % 12)
    wrong = closed(Pixels(), private(1), (shots(half, 2), labels))
    info = evaluator_info([evidence, wrong], ["apart"], rng=rng())
    assert (info.accuracy.value, info.accuracy.n, info.checks) == (0.75, 12, ["apart"])
    assert info.accuracy_top_5.value >= 0.75
    assert wrong.ceiling() == 0.5


# In the open


class Open(Pixels):
    """Of the twelve pixels the last four are public classes."""

    public = torch.zeros(1, *SHAPE)


N_PRIVATE = 8
OURS = np.arange(N_PRIVATE)


def in_the_open(seed=1, evaluator=None):
    labels = np.repeat(OURS, 6)
    sides = [(shots(labels, at), labels) for at in (seed, seed + 1)]
    return Evidence.between(evaluator or Open(), *sides, n_private=N_PRIVATE)


def test_a_hit_by_hand():
    """Five images of class 2: itself, another private, a public class, a public one with 2 next to it, black."""
    images = torch.zeros(5, 12)
    images[0, 2] = images[1, 5] = images[2, 10] = 1
    images[3, 9], images[3, 2] = 1.0, 0.9
    judged_, labels = in_the_open(), np.full(5, 2)
    answers, features = judged_.evaluator.look(images.view(-1, *SHAPE))
    assert judged_.accepted(answers, features).tolist() == [2, 5, -1, -1, 0]
    assert judged_.named(answers).tolist() == [2, 5, 0, 2, 0]
    assert judged_.recognised(images.view(-1, *SHAPE), labels)[0].tolist() == [True, False, False, False, False]
    assert judged_.threshold is None
    assert judged_.rule == "the class attacked is the likeliest of 8 private and 4 public classes"


def test_public_images_that_a_closed_judge_names_are_no_hits():
    """Planted: each shows public class 8 + c % 4, with a shade of the private class c that it is said to be."""
    labels = np.repeat(OURS, 3)
    images = shots(8 + labels % 4, seed=4).flatten(1)
    images[torch.arange(24), torch.from_numpy(labels)] = 0.5
    found = judge(images.view(-1, *SHAPE), labels, np.ones(24, bool), in_the_open(), {}, rng=rng())
    assert (found.named.value, found.accuracy.value) == (1, 0)
    assert found.p_value == 1
    assert found.adversarial
    assert {one.name: one.accuracy.value for one in found.baselines} == {"chance": 1 / 12, "wrong-class": 0}


@pytest.mark.parametrize("rejects", [False, True])
def test_hits_are_those_of_a_naive_implementation(rejects):
    evaluator = Open()
    evaluator.rejects, evaluator.threshold = rejects, -0.3
    seen, labels = in_the_open(evaluator=evaluator), rng(3).integers(0, N_PRIVATE, 300)
    images = noise(300, 7)
    images[::2] = shots(labels, seed=2, noise=0.7)[::2]
    images[::4] = shots(labels, seed=5)[::4]
    answers, features = evaluator.look(images)
    limit = None
    if rejects:
        held_out = evaluator.look(shots(np.repeat(OURS, 6), 2))[0]
        limit = naive.threshold(held_out, np.repeat(OURS, 6), makers=-0.3)
        assert seen.threshold == pytest.approx(limit)
    hits = [naive.hit(row, label, N_PRIVATE, limit) for row, label in zip(answers, labels, strict=True)]
    assert 0 < np.mean(hits) < 1
    assert (seen.accepted(answers, features) == labels).tolist() == hits


def test_a_judge_of_private_classes_alone_rejects_what_is_farther_than_real_images():
    seen = Evidence.between(Pixels(), private(1), private(2))
    assert seen.real_hits().mean() == pytest.approx(0.95, abs=0.01)
    assert seen.recognised(noise(36), LABELS)[0].mean() == 0
    assert "no public class is known to the judge, and the image is as near to it as 95 %" in seen.rule
    # A judge that is lost on real images sets no bar, and its textures say so.
    lost = Evidence.between(Pixels(), private(1), (noise(72, 5), np.repeat(EVERY, 6)))
    info = evaluator_info([lost], [], noise(50, 6), rng=rng())
    assert info.taken_of("noise").value > 0.8
    assert evaluator_info([seen], [], noise(50, 6), rng=rng()).taken_of("noise").value == 0


def test_what_shows_no_private_class_is_taken_for_one_or_not():
    labels = np.repeat(np.arange(8, 12), 10)
    info = evaluator_info([in_the_open(), in_the_open(7)], [], shots(labels, 3), rng=rng())
    assert info.taken_of("public").value == 0
    assert info.taken_of("public").n == 40  # once, though two judges saw them
    assert info.taken_of("noise").value == pytest.approx(8 / 12, abs=0.2)
    assert info.taken_of("elsewhere") is None
    assert info.n_public_classes == 4
    assert (info.accuracy.value, info.named.value) == (1, 1)


def test_a_texture_has_the_frequencies_of_its_image_and_shows_nothing():
    image = torch.full((1, 2, 16, 16), 0.5)
    image[:, 0, 4:8, 3:9] += 0.1
    image[:, 1, :, 2] -= 0.1
    made = texture(image, rng())
    before, after = (torch.fft.fft2(one.double()).abs() for one in (image, made))
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)
    assert (made - image).abs().max() > 0.05
    assert torch.equal(made, texture(image, rng()))


def test_of_equally_likely_classes_the_first_is_taken():
    answers = np.zeros((2, 6))
    assert top(answers, np.array([0, 1])).tolist() == [True, False]
    assert top(answers, np.array([4, 5]), 5).tolist() == [True, False]


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": LABELS[:5]}, "a label and a verdict"),
        ({"target_hits": ALL[:5]}, "a label and a verdict"),
        ({"labels": LABELS + 1}, "knows the private classes 0 to 11, got the label 12"),
    ],
)
def test_what_does_not_fit_is_refused(evidence, change, words):
    given = {"images": noise(), "labels": LABELS, "target_hits": ALL, "evidence": evidence, "baselines_hits": {}}
    with pytest.raises(InputError, match=words):
        see(**(given | change))


def test_evidence_needs_both_sides():
    with pytest.raises(InputError, match="no held-out image of an attacked class"):
        Evidence.between(Pixels(), private(), (shots([1]), np.array([1])), attacked=(2,))
    with pytest.raises(InputError, match="at least one seed"):
        judged([], rng=rng())


def test_every_baseline_has_a_name_that_the_result_knows(evidence):
    others = {name: (ALL, LABELS) for name in baselines.ABOUT if name not in ("chance", "wrong-class")}
    found = judgement(noise(), evidence, others=others)
    assert [one.name for one in found.baselines] == list(judging.control.ABOUT)
