"""YAML as configurations need it: keys, values and lists, each key once, nothing repeated by reference.

An alias may stand for a part that holds aliases: half a kilobyte then unfolds to gigabytes. No configuration needs one.
"""

import os
from typing import Any

import yaml

from seepage.errors import DataFileError

DEEPEST = 20  # levels
MOST_VALUES = 20_000
LONGEST_NUMBER = 100  # characters


def parse_yaml(text: str, where: str | os.PathLike) -> Any:
    """What a YAML text says; `where` is named in the complaint.

    Raises:
        DataFileError: it is not YAML, or holds aliases, unknown tags, a key twice, or more than anybody writes.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark, problem = error.problem_mark, error.problem or error.context or "unknown"
        if problem.startswith("but "):
            problem = f"{error.context}, {problem}"
        if "'\\t'" in problem:
            problem = "it is indented with a tab, and YAML takes spaces only"
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise DataFileError(f"{where} is not YAML that can be read: {place}{problem}") from None
    except yaml.YAMLError as error:
        raise DataFileError(f"{where} is not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:  # the scanner's own, in what it has not composed yet
        raise DataFileError(f"{where} is nested too deeply") from None


class _Loader(yaml.SafeLoader):
    def __init__(self, stream: str):
        super().__init__(stream)
        self._depth = self._n_values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            raise _problem(event, f"'{event.anchor[:50]}' is an anchor or an alias: write the part out in each place")
        self._depth += 1
        self._n_values += 1
        if self._depth > DEEPEST:
            raise _problem(event, f"more than {DEEPEST} levels, which no configuration needs")
        if self._n_values > MOST_VALUES:
            raise _problem(event, f"more than {MOST_VALUES:,} values, which no configuration needs")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if (
            isinstance(node, yaml.ScalarNode)
            and node.tag != "tag:yaml.org,2002:str"
            and len(node.value) > LONGEST_NUMBER
        ):
            raise _problem(node, f"a value of {len(node.value):,} characters that is no text")
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError):  # 2026-99-99, or a tag that misfits
            kind = node.tag.rpartition(":")[2]
            raise _problem(node, f"no sound {kind}: put it in quotes if it is a text") from None

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if (key.tag, str(key.value)) in seen:
                raise _problem(key, f"the key '{str(key.value)[:50]}' stands here for the second time")
            seen.add((key.tag, str(key.value)))
        return super().construct_mapping(node, deep)


def _problem(at: yaml.Event | yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)
