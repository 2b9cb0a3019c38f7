"""The verdict on inversion and its sentences: made-up figures whose reading is known."""

from dataclasses import replace

import numpy as np
import pytest

from seepage.inversion.base import Budget
from seepage.schema.inversion import Taken
from seepage.studies.invert.findings import Evidence, conclusions, headline, limits, verdict
from tests.report.inversion_made import ATTACKS, SEEDS, TARGETS, attacked, ceiling, estimate, evaluator, info, target

ROWS = {row[0]: row for row in TARGETS}


def evidence(targets=None, *, judge=None, private=40, attacked=20, seeds=SEEDS, **changes):
    made = [target(row) for row in TARGETS] if targets is None else targets
    return Evidence(made, [info(row) for row in ATTACKS], judge or evaluator(), private, attacked, seeds, **changes)


def with_p(one, p_value, *names):
    """The target with other corrected p-values, of these attacks or of all."""
    changed = [a.model_copy(update={"p_value_holm": p_value}) if not names or a.attack in names else a
               for a in one.attacks]  # fmt: skip
    return one.model_copy(update={"attacks": changed})


def plain(p_value=0.4, **changes):
    return with_p(target(ROWS["undefended"]), p_value).model_copy(update=changes)


def sentence(found, about):
    return next(one.sentence for one in found if one.about == about)


def test_a_leak_is_shown_where_one_attack_is_recognised_beyond_every_baseline():
    assert verdict(evidence([plain(0.0501)])) == "NO EVIDENCE"
    assert verdict(evidence([with_p(plain(), 0.05, "gmi")])) == "LEAK SHOWN"
    assert verdict(evidence([with_p(plain(), 0.05, "gmi")], alpha=0.01)) == "NO EVIDENCE"


def test_the_verdict_is_about_the_undefended_and_of_the_defended_where_there_is_no_other():
    defended = with_p(target(ROWS["mid"]), 0.001)
    assert verdict(evidence([plain(), defended])) == "NO EVIDENCE"
    assert headline(evidence([plain(), defended])).endswith("It is on 'Mutual information (MID)'.")
    assert verdict(evidence([defended])) == "LEAK SHOWN"
    # two targets, so each is asked at half the level
    two = [with_p(target(ROWS[name]), p) for name, p in (("mid", 0.03), ("tl-dmi frozen 2", 0.9))]
    assert verdict(evidence(two[:1])) == "LEAK SHOWN"
    assert verdict(evidence(two)) == "NO EVIDENCE"


@pytest.mark.parametrize("name", ["null", "shuffled"])
def test_a_judge_that_is_fooled_by_a_control_makes_all_invalid(name):
    fooled = with_p(target(ROWS[name]), 0.01, "plg-mi")
    found = evidence([plain(0.001), fooled])
    assert verdict(found) == "INVALID"
    assert f"'{fooled.title}'" in headline(found)
    assert "'Pseudo-label guided (PLG-MI)'" in headline(found)
    assert "does not count" in sentence(conclusions(found), f"Control: {fooled.title}")
    assert verdict(evidence([plain(0.001), with_p(fooled, 0.06)])) == "LEAK SHOWN"


def test_a_judge_no_better_than_chance_makes_all_invalid():
    guessing = evaluator(0.06).model_copy(update={"accuracy": estimate(0.06, 0.035)})  # chance: 1 of 40, 2.5 %
    assert verdict(evidence([plain(0.001)], judge=guessing)) == "INVALID"
    assert "not clearly above chance (2.5 %)" in headline(evidence([plain(0.001)], judge=guessing))
    assert verdict(evidence([plain(0.001)], judge=guessing, private=41)) == "LEAK SHOWN"  # 0.025 > 1 of 41
    undefined = evaluator().model_copy(update={"accuracy": estimate(None)})
    assert verdict(evidence([plain(0.001)], judge=undefined)) == "INVALID"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"attacked": 4}, "only 4 classes were attacked"),
        ({"judge": evaluator(0.49)}, "only 49.0 % [47.0, 51.0] of real images"),
        ({"targets": [plain(test_accuracy=estimate(0.05, 0.025))]}, "has learnt nothing that could leak"),
        ({"attacked": 6}, "with 6 classes and 6 attacks Holm's p cannot be below 0.094"),
        ({"targets": [with_p(target(ROWS["null"]), 0.9)]}, "no attack was run"),
        ({"targets": [plain(attacks=[])]}, "no attack was run"),
    ],
)
def test_a_study_that_could_not_have_shown_much_is_inconclusive(changes, why):
    found = evidence(**{"targets": [plain()], **changes})
    assert verdict(found) == "INCONCLUSIVE"
    assert why in headline(found)
    assert isinstance(conclusions(found), list)
    assert limits(found)


def test_an_attack_needs_room_beyond_what_no_attack_made():
    one = plain()
    only = one.model_copy(update={"attacks": [one.attack("plg-mi")]})  # best of random: 16 %, the judge's low end: 16 %
    crowded = evidence([only], judge=evaluator(0.18))
    assert "(16.0 % [13.5, 18.5]) than real images (18.0 % [16.0, 20.0])" in headline(crowded)
    assert "no room" not in headline(evidence([only], judge=evaluator(0.19)))
    # Another attack on it starts from less.
    assert "no room" not in headline(evidence([one], judge=evaluator(0.18)))


def test_a_model_that_was_given_is_one_model():
    assert sentence(limits(evidence(is_given=True)), "One model")
    assert "Seeds" not in {one.about for one in limits(evidence(is_given=True))}


def test_a_leak_that_was_shown_stays_one_though_the_judge_is_weak():
    assert verdict(evidence([plain(0.001)], judge=evaluator(0.4))) == "LEAK SHOWN"


def of_runs(one, *accuracies):
    """The target as so many runs of each attack have it."""
    return one.model_copy(update={"attacks": [a.model_copy(update={"seeds": list(accuracies)}) for a in one.attacks]})


def test_a_leak_needs_twenty_classes_or_a_second_run_that_shows_it_too():
    one = {"seeds": [0]}
    assert verdict(evidence([of_runs(plain(0.001), 0.6)], attacked=20, **one)) == "LEAK SHOWN"
    once = evidence([of_runs(plain(0.001), 0.6)], attacked=19, **one)
    assert verdict(once) == "INCONCLUSIVE"
    assert "recognised beyond the baselines (63.0 % [59.0, 67.0] against 16.0 % [13.5, 18.5])" in headline(once)
    assert "it is one run on 19 classes: a leak needs 20 classes, or a second run from another seed" in headline(once)
    assert verdict(evidence([of_runs(plain(0.001), 0.6, 0.17)], attacked=19)) == "LEAK SHOWN"
    # Nor does it say anything that nothing was found.
    assert verdict(evidence([of_runs(plain(), 0.6)], attacked=19, **one)) == "INCONCLUSIVE"
    assert verdict(evidence([of_runs(plain(), 0.6)], attacked=20, **one)) == "NO EVIDENCE"
    apart = evidence([of_runs(plain(0.001), 0.9, 0.03)], attacked=19)
    assert verdict(apart) == "INCONCLUSIVE"
    assert "they reach 90.0 %, 3.0 %" in headline(apart)


def test_no_verdict_rests_on_a_judge_that_knows_private_classes_alone():
    closed = evaluator().model_copy(update={"rule": "", "taken": []})
    shown = evidence([plain(0.001)], judge=closed)
    assert verdict(shown) == "INCONCLUSIVE"
    assert "no verdict may rest on it" in headline(shown)
    nothing = evidence([plain()], judge=closed)
    assert verdict(nothing) == "INCONCLUSIVE"
    assert "names one for any image" in headline(nothing)


def test_no_verdict_rests_on_textures():
    def with_textures(share):
        taken = [Taken(name="texture", title="Textures", share=estimate(share, 0.05, n=100))]
        return evidence([plain(0.001)], judge=evaluator(0.8).model_copy(update={"taken": taken}))

    assert verdict(with_textures(0.4)) == "LEAK SHOWN"  # half of the real images, and no more
    assert verdict(with_textures(0.41)) == "INCONCLUSIVE"
    assert "takes 41.0 % [36.0, 46.0] of textures, which show nothing" in headline(with_textures(0.41))


def noisy_judge(share):
    """Right on 80 % of real images, and taking this share of noise for a private class."""
    taken = [Taken(name="noise", title="Noise", share=estimate(share, 0.05, n=100))]
    return evaluator(0.8).model_copy(update={"taken": taken})


def test_a_judge_that_takes_noise_for_a_class_bars_attacks_in_pixels():
    found = evidence([with_p(plain(), 0.001, "mi-face")], judge=noisy_judge(0.41))
    assert verdict(found) == "INCONCLUSIVE"
    assert "takes 41.0 % [36.0, 46.0] of noise, which shows nothing, for a private class" in headline(found)
    told = sentence(conclusions(found), "Noise")
    assert told.endswith("show no leak here: 'Plain gradient descent on pixels (MI-Face)'.")
    # Half of the real images, and no more; or a result of before noise was asked about.
    for share in (noisy_judge(0.4), evaluator(0.8), noisy_judge(0.4).model_copy(update={"taken": []})):
        fine = evidence([with_p(plain(), 0.001, "mi-face")], judge=share)
        assert verdict(fine) == "LEAK SHOWN"
        assert "Noise" not in {one.about for one in conclusions(fine)}


def test_noise_bars_no_attack_with_a_prior_and_no_study_that_found_nothing():
    judge = noisy_judge(0.76)
    assert verdict(evidence([with_p(plain(), 0.001, "gmi")], judge=judge)) == "LEAK SHOWN"
    both = evidence([with_p(plain(), 0.001, "gmi", "mi-face")], judge=judge)
    assert verdict(both) == "LEAK SHOWN"
    assert "'Generative model inversion (GMI)'" in headline(both)
    assert verdict(evidence([plain()], judge=judge)) == "NO EVIDENCE"
    one = plain(0.001)
    only = evidence([one.model_copy(update={"attacks": [one.attack("gmi")]})], judge=judge)
    assert "Noise" not in {each.about for each in conclusions(only)}
    # A public image that was selected has no prior and is no noise.
    selection = info(ATTACKS[0]).model_copy(update={"is_selection": True})
    found = evidence([with_p(plain(), 0.001, "mi-face")], judge=judge)
    assert verdict(replace(found, attacks=[selection, *found.attacks[1:]])) == "LEAK SHOWN"


def test_where_the_prior_cannot_show_the_classes_nothing_is_shown():
    low = ceiling("gan", 0.1)  # 5 [-1, 11] points beyond its best baseline
    assert not low.is_high
    one = plain(0.001)
    gmi = one.model_copy(update={"attacks": [one.attack("gmi")]})
    shown = evidence([gmi], ceilings=[low])
    assert verdict(shown) == "INCONCLUSIVE"
    assert "the prior 'gan' does not show these classes" in headline(shown)
    assert conclusions(shown)[0].about == "Ceiling of the prior 'gan'"  # before anything else
    assert "no verdict rests on an attack that searches in this prior" in conclusions(shown)[0].sentence
    assert verdict(evidence([gmi], ceilings=[ceiling("gan", 0.12)])) == "LEAK SHOWN"
    quiet = plain()
    quiet = quiet.model_copy(update={"attacks": [quiet.attack("gmi")]})
    assert verdict(evidence([quiet], ceilings=[low])) == "INCONCLUSIVE"
    assert verdict(evidence([quiet], ceilings=[ceiling()])) == "NO EVIDENCE"
    # Of several priors the others still count.
    several = evidence([one], ceilings=[low])
    assert verdict(several) == "LEAK SHOWN"
    assert "'Pseudo-label guided (PLG-MI)'" in headline(several)
    assert "no verdict rests on the prior 'gan'" in headline(several)


def test_a_closed_figure_above_that_of_real_images_is_no_likeness():
    assert "Named is not alike" not in {one.about for one in conclusions(evidence())}
    one = plain(0.001)
    attacks = [a.model_copy(update={"named": estimate(0.98 if a.attack == "gmi" else 0.5)}) for a in one.attacks]
    told = sentence(conclusions(evidence([one.model_copy(update={"attacks": attacks})])), "Named is not alike")
    assert "'Generative model inversion (GMI)' 98.0 % [94.0, 100]" in told
    assert "than for real images (96.5 % [94.5, 98.5])" in told
    assert "does not measure likeness" in told


def test_what_a_search_has_beyond_a_selection_stands_beside():
    told = sentence(conclusions(evidence()), "Search against selection")
    assert told.startswith("'Pseudo-label guided (PLG-MI)' is 53.0 [48.0, 58.0] points beyond the best selection")
    assert "('Generative model inversion (GMI)', 21.0 % [17.0, 25.0])" in told


def test_ten_classes_and_half_the_real_images_are_enough():
    assert verdict(evidence([plain()], attacked=10)) == "NO EVIDENCE"
    # With five, sign flips over classes cannot give a p that survives the correction for several attacks.
    assert verdict(evidence([plain()], attacked=5)) == "INCONCLUSIVE"
    assert verdict(evidence([plain()], judge=evaluator(0.5))) == "NO EVIDENCE"


def test_headlines_name_the_attack_that_leads_with_its_figures():
    told = headline(evidence())
    assert "63.0 % [59.0, 67.0] of the images of 'Pseudo-label guided (PLG-MI)'" in told
    assert "at most 16.0 % [13.5, 18.5] of what asks no target" in told
    assert "the undefended model" in told
    assert "from the model:" in headline(evidence([plain(0.001)]))
    # the most accurate attack is not beyond its baseline: another one shows the leak
    low = headline(evidence([with_p(plain(0.001), 0.3, "plg-mi", "lomma")]))
    assert "38.0 % [34.0, 42.0]" in low
    assert "'Knowledge-enriched inversion (KED-MI)'" in low
    quiet = headline(evidence([plain()]))
    assert "63.0 % [59.0, 67.0] against 16.0 % [13.5, 18.5]" in quiet


def test_conclusions_on_the_attacks():
    found = conclusions(evidence())
    best = sentence(found, "Best attack")
    assert "Of 600 images" in best
    assert "47.0 [42.0, 52.0] points beyond its best baseline ('The null target')" in best
    assert "Holm's p < 0.0001" in best
    assert "94.5 % [92.5, 96.5]" in best
    prior = sentence(found, "Without the target")
    assert "at most 16.0 % [13.5, 18.5]" in prior
    assert "5 of 6 attacks are recognised beyond every baseline" in prior
    assert "MI-Face" not in prior
    alarm = sentence(found, "Adversarial images")
    assert "(MI-Face)' on all 6 targets (target 100 %, judge 3.1 % to 4.0 %)" in alarm
    assert "(GMI)' on 'TL-DMI (frozen 4)' (target 93.0 %, judge 9.8 %)" in alarm


@pytest.mark.parametrize(
    ("share", "means"),
    [
        (estimate(0.55, 0.04), "A sign, and no proof"),
        (estimate(0.53, 0.04), "no sign of its training images"),
        (estimate(0.45, 0.04), "do not show the images"),
        (estimate(None), None),
        (None, None),
    ],
)
def test_the_class_or_a_record(share, means):
    one = plain(0.001)
    attacks = [a.model_copy(update={"nearer_private": share}) for a in one.attacks]
    found = conclusions(evidence([one.model_copy(update={"attacks": attacks})]))
    told = [each.sentence for each in found if each.about == "Class or record"]
    assert len(told) == (means is not None)
    assert means is None or means in told[0]


def test_a_share_nearer_to_training_images_stands_beside_that_of_a_model_that_never_saw_them():
    told = sentence(conclusions(evidence()), "Class or record")
    assert told.startswith("54.8 % [51.3, 58.3]")
    assert "(of 'Null: other classes', which never saw them: 52.0 % [48.5, 55.5])" in told
    alone = sentence(conclusions(evidence([target(ROWS["undefended"])])), "Class or record")
    assert "never saw" not in alone


def test_defences_beside_the_undefended():
    found = conclusions(evidence())
    two = sentence(found, "TL-DMI (frozen 2)")
    assert "accuracy clearly falls from 63.0 % to 45.1 %, class by class" in two
    assert "natural accuracy goes from 89.2 % to 87.1 % [84.6, 89.6], the intervals overlapping" in two
    assert "5 of 6 attacks are recognised beyond every baseline" in two
    four = sentence(found, "TL-DMI (frozen 4)")
    assert "natural accuracy clearly falls from 89.2 % to 76.2 %" in four
    assert "2 of 6 attacks are" in four
    nothing = with_p(target(ROWS["mid"]), 0.7)
    told = sentence(conclusions(evidence([plain(0.001), nothing])), nothing.title)
    assert "No attack is recognised beyond every baseline" in told


def test_defences_are_ranked_at_equal_accuracy_only():
    found = [one.sentence for one in conclusions(evidence()) if one.about == "At equal accuracy"]
    assert len(found) == 2
    # 83.4 and 82.3 %: the interval of the difference by classes holds 0
    assert "82.3 % to 83.4 %" in found[0]
    assert "from 'TL-DMI (frozen 3)', 32.9 %" in found[0]
    assert "not settled" in found[0]
    # 76.4 and 76.2 %: it does not
    assert "from 'TL-DMI (frozen 4)', 22.6 %" in found[1]
    assert "not settled" not in found[1]
    far = [target(ROWS[name]) for name in ("undefended", "tl-dmi frozen 2", "mid")]
    assert "is not known" in sentence(conclusions(evidence(far)), "At equal accuracy")
    one_sweep = [target(ROWS[name]) for name in ("undefended", "tl-dmi frozen 2", "tl-dmi frozen 3")]
    assert "At equal accuracy" not in {one.about for one in conclusions(evidence(one_sweep))}


def test_whatever_is_near_enough_is_compared():
    """85 and 83.1 % are of one defence, 82 % of another: the last two lie within 2 points, first and last do not."""
    rows = [("tl-dmi frozen 2", 0.85), ("tl-dmi frozen 3", 0.831), ("mid", 0.82)]
    made = [target((*ROWS[name][:5], accuracy, ROWS[name][6])) for name, accuracy in rows]
    (told,) = [one.sentence for one in conclusions(evidence([plain(), *made])) if one.about == "At equal accuracy"]
    assert "82.0 % to 83.1 %" in told
    assert "(frozen 2)" not in told
    made[2] = target((*ROWS["mid"][:5], 0.81, 1.0))
    (told,) = [one.sentence for one in conclusions(evidence([plain(), *made])) if one.about == "At equal accuracy"]
    assert "is not known" in told


def of_classes(name, title, role, accuracy, rates, n_trained=312_000, **options):
    """A target whose best attack has these rates, one a class; the intervals of all such targets overlap."""
    made = target((name, title, role, options, n_trained, accuracy, 1.0))
    rate = sum(rates) / len(rates)
    classes = {f"person {at:02d}": value for at, value in enumerate(rates)}
    changed = {"accuracy": estimate(rate, 0.2), "classes": classes}
    best = made.worst.attack
    attacks = [a.model_copy(update=changed if a.attack == best else {"accuracy": estimate(0.0)}) for a in made.attacks]
    return made.model_copy(update={"attacks": attacks})


EASY = [0.4 + 0.4 * (at / 19) for at in range(20)]  # some classes are easy to show, for every target


def lower(by):
    """All classes fall by about as much, none by quite the same."""
    moves = np.random.default_rng(round(100 * abs(by))).normal(0, 0.02, 20)
    return [rate - by - move for rate, move in zip(EASY, moves - moves.mean(), strict=True)]


def test_targets_are_compared_class_by_class():
    """Every class falls by about 10 points: [40, 80] and [30, 70] overlap, the pairs do not hold 0."""
    rows = [of_classes("undefended", "No defence", "undefended", 0.8, EASY),
            of_classes("mid", "MID", "defended", 0.8, lower(0.1), beta=1.0)]  # fmt: skip
    told = sentence(conclusions(evidence(rows)), "MID")
    assert "clearly falls from 60.0 % to 50.0 %, class by class -10.0 [-1" in told
    same = [rows[0], of_classes("mid", "MID", "defended", 0.8, lower(0.0), beta=1.0)]
    told = sentence(conclusions(evidence(same)), "MID")
    assert "goes from 60.0 % to 60.0 %" in told
    assert "which holds 0" in told


def test_overlapping_intervals_settle_no_order_and_unsettle_none():
    """[30, 70] and [38, 78] overlap, and every class differs by about 8 points; of few classes none may be said."""
    rows = [of_classes("mid", "MID", "defended", 0.8, lower(0.1), beta=1.0),
            of_classes("neg-ls", "NegLS", "defended", 0.8, lower(0.02), alpha=-0.1)]  # fmt: skip
    told = sentence(conclusions(evidence(rows)), "At equal accuracy")
    assert "gets least from 'MID', 50.0 % [30.0, 70.0]" in told
    assert "'NegLS' +8.0 [+7" in told
    assert "not settled" not in told
    # Intervals that are apart say nothing where the classes differ at random.
    wild = np.random.default_rng(3).permutation([0.0, 1.0] * 10)
    rates = [of_classes("mid", "MID", "defended", 0.8, wild[::-1] * 0.9, beta=1.0),
             of_classes("neg-ls", "NegLS", "defended", 0.8, wild, alpha=-0.1)]  # fmt: skip
    narrow = [one.model_copy(update={"attacks": [a.model_copy(update={"accuracy": estimate(a.accuracy.value, 0.01)})
                                                 for a in one.attacks]}) for one in rates]  # fmt: skip
    assert "not settled" in sentence(conclusions(evidence(narrow)), "At equal accuracy")


@pytest.mark.parametrize(("kept", "why"), [(0, "no class is in both"), (1, "which has no interval")])
def test_without_pairs_the_figures_stand_and_nothing_is_clear(kept, why):
    def cut(one):
        few = [a.model_copy(update={"classes": dict(list(a.classes.items())[:kept])}) for a in one.attacks]
        return one.model_copy(update={"attacks": few})

    rows = [cut(of_classes("undefended", "No defence", "undefended", 0.8, EASY)),
            cut(of_classes("mid", "MID", "defended", 0.8, lower(0.3), beta=1.0)),
            cut(of_classes("neg-ls", "NegLS", "defended", 0.8, lower(0.1), alpha=-0.1))]  # fmt: skip
    found = conclusions(evidence(rows))
    told = sentence(found, "MID")
    assert "accuracy goes from 60.0 % to 30.0 %" in told
    assert why in told
    assert "or there is none, the order is not settled" in sentence(found, "At equal accuracy")


def test_a_fall_that_lost_accuracy_explains_is_told_from_one_that_it_does_not():
    full = of_classes("undefended", "No defence", "undefended", 0.8, EASY)
    short = of_classes("undefended 3", "No defence, 3 epochs", "undefended", 0.7, lower(0.1))
    strong = of_classes("mid", "MID", "defended", 0.72, lower(0.25), beta=1.0)
    weak = of_classes("neg-ls", "NegLS", "defended", 0.72, lower(0.1), alpha=-0.1)
    found = conclusions(evidence([full, short, strong, weak]))
    told = {one.about.split(",")[0]: one.sentence for one in found if "of no higher accuracy" in one.about}
    assert "'No defence, 3 epochs' has a natural accuracy of 70.0 % against 72.0 %" in told["MID"]
    assert told["MID"].endswith(": it protects more than lost accuracy does.")
    assert told["NegLS"].endswith("is not shown to be more than what lost accuracy protects.")
    low = of_classes("mid", "MID", "defended", 0.6, lower(0.25), beta=1.0)
    told = sentence(conclusions(evidence([full, short, low])), "No control of accuracy")
    assert "as inaccurate as 'MID'" in told
    assert "{name: undefended, label: short, recipe: {epochs: 3}}" in told
    group = [one.sentence for one in found if one.about == "At equal accuracy"]
    assert any("'No defence, 3 epochs' +15.0" in one for one in group)  # undefended targets stand beside the rivals


def test_freezing_is_judged_within_one_pre_training():
    def frozen(name, k, fall, pretrain):
        return of_classes(f"{name} {k}", f"{name}, {k} frozen", "defended", 0.7 - 0.01 * k, lower(fall),
                          n_trained=300_000 - 40_000 * k, freeze=k, pretrain=pretrain)  # fmt: skip

    plain = of_classes("undefended", "No defence", "undefended", 0.7, EASY)
    rows = [plain, frozen("CIFAR", 0, 0.0, "cifar10"), frozen("CIFAR", 6, 0.3, "cifar10"),
            frozen("drawings", 6, -0.05, "public"), frozen("drawings", 0, 0.0, "public")]  # fmt: skip
    found = {one.about: one.sentence for one in conclusions(evidence(rows)) if one.about.startswith("Freezing")}
    assert len(found) == 2
    other, own = found.values()
    assert "60,000 instead of 300,000 parameters" in other
    assert "clearly falls from 60.0 % to 30.0 %, class by class -30.0" in other
    assert "clearly rises from 60.0 % to 65.0 %" in own


def test_limits_say_what_holds_and_no_more():
    about = {one.about for one in limits(evidence())}
    assert about == {"Attacks", "One judge", "Labels alone", "Undefined", "Largest figures"}
    poor = evidence([plain()], judge=evaluator(0.8), attacked=12)
    poor = Evidence(poor.targets, [info(ATTACKS[0])], poor.evaluator, 40, 12, [0], own={"mi-face": Budget(5000, 1)})
    found = limits(poor)
    assert {one.about for one in found} >= {"Ceiling", "Few classes", "Seeds", "Budget", "Access", "No control"}
    assert "400 of 5,000 steps" in sentence(found, "Budget")
    assert "restarts" not in sentence(found, "Budget")  # 3 were given, and the source has 1
    assert "Only 12 classes" in sentence(found, "Few classes")
    assert "600 images for 512 features" in sentence(found, "Undefined")


def test_attacks_that_see_labels_are_measured_by_questions():
    label = info(next(row for row in ATTACKS if row[2] == "label"))
    found = evidence([plain()], own={"brep-mi": Budget(1000, 1, 30_000)})
    told = sentence(limits(found), "Budget")
    assert f"{label.title} (2,000 of 30,000 queries)" in told
    assert "steps" not in told


def test_undefined_figures_break_no_sentence():
    nothing = attacked(ATTACKS[1], 1.0, "", accuracy=estimate(None), target_accuracy=estimate(None), baselines=[],
                       advantage=estimate(None), p_value_holm=1.0, frechet=None, kernel=None, diversity=None,
                       nearer_private=None)  # fmt: skip
    one = plain(attacks=[nothing])
    other = target(ROWS["mid"]).model_copy(update={"attacks": [nothing], "test_accuracy": estimate(None)})
    found = evidence([one, other, target(ROWS["null"])])
    assert verdict(found) == "NO EVIDENCE"
    told = " ".join([headline(found), *(each.sentence for each in [*conclusions(found), *limits(found)])])
    assert "None" not in told
    assert "nan" not in told.lower().split()
