"""What a study refuses before anything is trained."""

import numpy as np
import pytest
import torch
from torch import nn

from seepage.data import Pool
from seepage.defences import find_defence
from seepage.errors import InputError, StorageError
from seepage.inversion import find_inversion
from seepage.inversion.priors import PriorOptions
from seepage.models.architectures import CNN
from seepage.models.device import choose_device
from seepage.models.recipe import BestValidation, Recipe
from seepage.outside import check_kinds
from seepage.studies.invert.admission import (
    attacks_of,
    check_folder,
    check_judge,
    check_numbers,
    check_priors,
    check_recipe,
    own_model,
    plain,
    targets_of,
    with_selections,
)
from seepage.studies.invert.evaluators import Trained
from seepage.studies.invert.targets import Choice
from seepage.studies.invert.world import make_world
from tests.report.inversion_made import inversion
from tests.studies.invert.drawn import RECIPE, bars
from tests.studies.invert.test_world import Grey


class Small(nn.Module):
    def __init__(self, outputs, tail=None):
        super().__init__()
        self.head = nn.Linear(64, outputs)
        self.drop, self.tail = nn.Dropout(0.5), tail or nn.Identity()

    def forward(self, images):
        return self.tail(self.head(self.drop(images.flatten(1))))


@pytest.fixture(scope="module")
def world():
    return make_world(bars(), private=6, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def unlabelled():
    public = Pool(bars(seed=1).inputs, name="more", scale=1 / 255)
    return make_world(bars(), public=public, rng=np.random.default_rng(0))


def test_a_model_is_asked_in_eval_mode_and_left_as_it_is():
    module = Small(4).train()
    copied, n_outputs = own_model(module, bars())
    assert n_outputs == 4
    assert module.training
    assert not copied.training
    assert copied is not module


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Small(1), r"an output for each class, got answers of shape \(1, 1\)"),
        (Small(3, nn.Softmax(dim=1)), "every row is a probability vector"),
        (nn.Linear(9, 3), "could not answer"),
        (lambda images: images, "expected a torch module"),
    ],
)
def test_a_model_must_answer_with_logits(model, message):
    with pytest.raises(InputError, match=message):
        own_model(model, bars())


def test_a_model_of_the_users_stands_beside_what_the_recipe_trains(world):
    given = Small(6).eval()
    specs = targets_of(["undefended", "null", Choice("tl-dmi", {"freeze": 0.5})], RECIPE, world, given)
    assert list(specs) == ["model", "null", "tl-dmi freeze 0.5"]
    assert specs["model"].module is given
    assert specs["null"].n_trained(given) == 0
    with pytest.raises(InputError, match="another label"):
        targets_of([Choice("label-smoothing", label="model")], RECIPE, world, given)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([Choice("early-stopping", {"patience": 2})], "chooses by validation records"),
        (["temperature"], "chooses by validation records"),
        (["adversarial-regularisation"], "the public images are of others"),
    ],
)
def test_defences_that_need_what_there_is_not_are_refused(world, choices, message):
    with pytest.raises(InputError, match=message):
        targets_of(choices, RECIPE, world, None)


@pytest.mark.parametrize("choices", [["null"], ["tl-dmi"]])
def test_what_is_trained_on_public_labels_needs_some(unlabelled, choices):
    with pytest.raises(InputError, match="the public ones have no labels"):
        targets_of(choices, RECIPE, unlabelled, None)


def test_code_of_ones_own_needs_a_version(world):
    mine = Recipe(model=lambda shape, n: Small(n))
    with pytest.raises(InputError, match=r"Recipe\(\.\.\., version='1'\)"):
        check_recipe("undefended", mine, world)
    check_recipe("undefended", Recipe(model=mine.model, version="1"), world)


def test_judges_that_cannot_judge_are_refused(world):
    with pytest.raises(InputError, match="the judge: it chooses by validation"):
        check_judge(Recipe(model=CNN, stop=BestValidation()), None, world)
    with pytest.raises(InputError, match="a Recipe or an Evaluator, got a Small"):
        check_judge(Small(6), None, world)
    with pytest.raises(InputError, match="the 6 private classes, got one of 5"):
        check_judge(Trained(Small(5)), None, world)
    model = Small(6)
    with pytest.raises(InputError, match="the judge is the attacked model"):
        check_judge(Trained(model), model, world)
    check_judge(Trained(Small(6)), model, world)


def test_a_judge_of_public_classes_too_has_images_that_no_attack_has(world):
    judge, theirs = Small(8), torch.from_numpy(world.for_judge.inputs.astype(np.float32) / 255)
    with pytest.raises(InputError, match=r"no attack may have the images .*Trained\(\.\.\., public=images\)"):
        check_judge(Trained(judge), None, world)
    check_judge(Trained(judge, public=theirs), None, world)
    attackers = torch.from_numpy(world.images[:3].astype(np.float32) / 255)
    with pytest.raises(InputError, match="trained on 3 of the public images that attacks select from"):
        check_judge(Trained(judge, public=torch.cat([theirs, attackers])), None, world)
    with pytest.raises(InputError, match=r"public images have the shape \(1, 4, 4\)"):
        check_judge(Trained(judge, public=theirs[:, :, :4, :4]), None, world)


def test_a_judge_is_not_pretrained_on_what_attacks_select_from(world):
    pretrained = find_defence("tl-dmi", freeze=0.5).apply(RECIPE)
    with pytest.raises(InputError, match="the judge would be trained on the attacker's public images"):
        check_judge(pretrained, None, world)


def test_selections_stand_beside_the_attacks(world):
    gmi = find_inversion("gmi")
    assert list(with_selections({"gmi": gmi}, 20, world)) == ["gmi", "best-code", "best-public"]
    with pytest.raises(InputError, match="'best-code' is the name of a selection"):
        with_selections({"best-code": gmi}, 20, world)


def test_priors_that_cannot_be_made_are_refused(world):
    gmi, pixels, ked = ({name: find_inversion(name)} for name in ("gmi", "mi-face", "ked-mi"))
    large = PriorOptions(batch_size=73)
    with pytest.raises(InputError, match="there are 36"):
        check_priors(gmi, world, large, None)
    check_priors(pixels, world, large, None)
    check_priors(gmi, world, large, Grey())
    with pytest.raises(InputError, match="there are 36"):
        check_priors(ked, world, large, Grey())
    wide = Grey()
    wide.image_shape = (1, 16, 16)
    with pytest.raises(InputError, match=r"open it with image_shape=\(1, 8, 8\)"):
        check_priors(pixels, world, large, wide)


def test_numbers_devices_and_attacks():
    check_numbers(random=(1, 1), samples=(0, 0))
    assert plain([np.int64(3), (np.float64(0.5), "a")]) == [3, [0.5, "a"]]
    assert plain(np.arange(2)) == [0, 1]
    check_kinds("invert", pool=(bars(), Pool), public=(None, Pool | None))
    with pytest.raises(InputError, match="public must be of type Pool or None, got a ndarray"):
        check_kinds("invert", public=(np.zeros(3), Pool | None))
    for value in (0, 1.5, True, "2"):
        with pytest.raises(InputError, match="random must be a whole number of at least 1"):
            check_numbers(random=(value, 1))
    assert choose_device("cpu") == "cpu"
    for device in ("nonsense", "cuda:63"):
        with pytest.raises(InputError, match=f"no device '{device}'"):
            choose_device(device)
    assert choose_device(None) == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match="under the name 'a', got a str"):
        attacks_of({"a": "gmi"})


def test_a_result_of_something_else_is_not_replaced(tmp_path):
    pool, file = bars(), tmp_path / "result.json"
    check_folder(tmp_path, pool)
    result = inversion()
    for fingerprint, message in ((pool.fingerprint, None), ("another", "a study of other data")):
        about = result.provenance.model_copy(update={"data_fingerprint": fingerprint})
        result.model_copy(update={"provenance": about}).save(file)
        if message is None:
            check_folder(tmp_path, pool)
        else:
            with pytest.raises(StorageError, match=message):
                check_folder(tmp_path, pool)
    file.write_text("{}")
    with pytest.raises(StorageError, match="no result of a study of inversion"):
        check_folder(tmp_path, pool)
