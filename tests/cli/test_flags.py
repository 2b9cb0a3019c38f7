"""Flags are the fields of a configuration: their names, what they set, and how a wrong one is told."""

import click
import pytest
from click.testing import CliRunner

from seepage.cli import main

# What scripts of users have in them.
NAMES = {
    "audit": "data model architecture defence defended members nonmembers label no-labels float32 population outputs "
    "model-outputs output-name origin references every-model epochs attacks access canaries canary-kind known queries "
    "layer alpha prior workers replay seed show-values trust-code out",
    "defend": "data label defence option architecture epochs seed out",
    "compare": "data label limit defences attacks architecture epochs references seeds floor canaries canary-kind "
    "workers out",
    "invert": "data limit public private attacked model architecture nonmembers attack attacks defences sweep controls "
    "steps restarts full-budget images-per-class generator samples prior-steps judge epochs seeds show-records device "
    "workers seed out",
    "synthesise": "data label limit epsilon latent clip labels label-epsilon releases public epochs noise-multiplier "
    "audit compare-epsilon seed out",
}


@pytest.mark.parametrize("command", NAMES)
def test_the_flags_of_a_command(command):
    context = click.Context(main.commands[command], info_name=command)
    there = {name for option in context.command.get_params(context) for name in option.opts}
    assert {f"--{name}" for name in NAMES[command].split()} <= there
    assert len(there) <= len(NAMES[command].split()) + 5  # with the file, the help, and few more
    for option in context.command.get_params(context)[1:]:
        assert option.help, option.opts


def read(monkeypatch, command, *arguments):
    """The configuration that a command line means."""
    tasks = []
    monkeypatch.setattr(main.commands[command], "callback", lambda task: tasks.append(task))
    done = CliRunner().invoke(main, [command, *arguments])
    assert done.exit_code == 0, done.output
    return tasks[0]


def test_flags_set_fields_of_sections(monkeypatch):
    task = read(monkeypatch, "audit", "--data", "digits", "--limit", "50", "--epochs", "3", "--known", "0.1")
    assert (task.data.name, task.data.limit, task.recipe.epochs, task.known) == ("digits", 50, 3.0, 0.1)
    assert task.recipe.architecture == "mlp"
    task = read(monkeypatch, "audit", "--data", "digits")
    assert task.recipe is not None
    task = read(monkeypatch, "audit", "--model", "m.pt", "--architecture", "cnn", "--members", "a.csv", "--label", "y")
    assert (task.model.architecture, task.recipe, task.options) == ("cnn", None, {"label": "y"})
    task = read(monkeypatch, "defend", "--data", "digits", "--defence", "hamp", "--option", "gamma=0.6",
                "--option", "alpha=1")  # fmt: skip
    assert task.recipe.defence.options == {"gamma": 0.6, "alpha": 1}


def test_lists_on_the_command_line(monkeypatch):
    task = read(monkeypatch, "compare", "--data", "digits", "--defences", "hamp, l2", "--seeds", "2")
    assert ([row.name for row in task.defences], task.seeds) == (["hamp", "l2"], [0, 1])
    task = read(
        monkeypatch, "invert", "--data", "digits", "--attack", "gmi", "--defences", "l2", "--sweep", "--controls"
    )
    assert [row.name for row in task.targets] == ["undefended", "l2", "null", "shuffled"]
    assert (task.targets[1].sweep, [row.name for row in task.attacks]) == (True, ["gmi"])
    assert read(monkeypatch, "invert", "--data", "digits", "--full-budget").budget == "full"
    task = read(monkeypatch, "synthesise", "--data", "a.csv", "--label", "y", "--public", "b.csv", "--epsilon", "inf",
                "--audit", "--compare-epsilon", "5", "--compare-epsilon", "7")  # fmt: skip
    assert (task.epsilon, task.compare_epsilons) == (float("inf"), (5.0, 7.0))
    assert task.public.options == task.data.options == {"label": "y"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("audit --data digits --alpha 1", "--alpha must be less than 0.5, got 1"),
        ("audit --data digits --limit few", "--limit must be a whole number, got 'few'"),
        ("audit --data digits --canary-kind red", "--canary-kind must be 'clean'"),
        ("audit --data digits --epoch 3", "unknown flag '--epoch': did you mean '--epochs'"),
        ("compare --data digits --defences hamp --seeds 0", "--seeds must be from 1 to 10,000 seeds, got 0"),
        ("invert --data digits --full-budget --steps 3", "--full-budget sets steps and restarts"),
        ("defend --data digits", "nothing to defend: give a CONFIG or --data and --defence"),
    ],
)
def test_a_wrong_flag_is_named_as_it_was_written(arguments, words):
    done = CliRunner().invoke(main, arguments.split())
    assert done.exit_code == 2
    assert words in done.stderr
