"""YAML as configurations need it: keys, values and lists, each key once, of bounded size.

An alias may stand for a part that holds aliases: half a kilobyte then unfolds to gigabytes. So what an alias stands for
is counted each time that it stands there.
"""

import os
import re
from typing import Any

import yaml

from seepage.errors import DataFileError

DEEPEST = 20  # levels
MOST_VALUES = 20_000
LONGEST_NUMBER = 100  # characters
_OCTAL = re.compile(r"[-+]?0[0-7_]+")


def parse_yaml(text: str, where: str | os.PathLike) -> Any:
    """What a YAML text says; `where` is named in the complaint.

    Raises:
        DataFileError: it is not YAML, or holds unknown tags, a key twice, or more than anybody writes.
    """
    try:
        return _apart(yaml.load(text, Loader=_Loader))
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
        self._extents: dict[yaml.Node, tuple[int, int]] = {}  # values and levels of each part, aliases followed

    def scan_to_next_token(self) -> None:
        super().scan_to_next_token()
        # PyYAML stops at any tab; YAML forbids those that indent.
        while self.peek() == "\t" and self.buffer[self.pointer - self.column : self.pointer].strip():
            self.forward()
            super().scan_to_next_token()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        event, before = self.peek_event(), self._n_values
        is_alias = isinstance(event, yaml.AliasEvent)
        if not is_alias:
            self.anchors.pop(event.anchor, None)  # an anchor may be given anew, and stands for what came last
        self._depth += 1
        self._count(event, 1, 0)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not is_alias:
            levels = 1 + max((self._extents[part][1] for part in _parts(node)), default=0)
            self._extents[node] = self._n_values - before, levels
        elif node in self._extents:
            self._count(event, *self._extents[node])
        else:
            raise _problem(event, f"the alias '{event.anchor[:50]}' stands inside of what it stands for")
        return node

    def _count(self, at: yaml.Event, n_values: int, levels: int) -> None:
        self._n_values += n_values
        if self._depth + levels > DEEPEST:
            raise _problem(at, f"more than {DEEPEST} levels, which no configuration needs")
        if self._n_values > MOST_VALUES:
            raise _problem(at, f"more than {MOST_VALUES:,} values, aliases followed, which no configuration needs")

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in seen:
                raise _problem(key, f"the key '{str(key.value)[:50]}' stands here for the second time")
            seen.add((key.tag, str(key.value)))
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if (
            isinstance(node, yaml.ScalarNode)
            and node.tag != "tag:yaml.org,2002:str"
            and len(node.value) > LONGEST_NUMBER
        ):
            raise _problem(node, f"a value of {len(node.value):,} characters that is no text")
        if isinstance(node, yaml.ScalarNode) and node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
            if _OCTAL.fullmatch(node.value):
                raise _problem(node, f"{node.value} is octal in YAML: leave out the 0 in front, or put it in quotes")
            if ":" in node.value:
                raise _problem(
                    node, f"{node.value} is a number to the base 60 in YAML: put it in quotes if it is a text"
                )
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError):  # 2026-99-99, or a tag that misfits
            kind = node.tag.rpartition(":")[2]
            raise _problem(node, f"no sound {kind}: put it in quotes if it is a text") from None


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _apart(value: Any) -> Any:
    """Each alias as a part of its own: a flag that changes one place must not change the others."""
    if isinstance(value, dict):
        return {name: _apart(part) for name, part in value.items()}
    return [_apart(part) for part in value] if isinstance(value, list) else value


def _problem(at: yaml.Event | yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)
