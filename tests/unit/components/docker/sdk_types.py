"""What pulumi-docker's argument classes take, read from their signatures."""

from __future__ import annotations

import builtins
import collections.abc
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
import pulumi_docker
import pulumi_docker._inputs as input_classes
from pulumi.output import Unknown


def problems(arguments_class: type, given: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """Everything in the inputs (names as the engine has them) that the class does not take."""
    signature = inspect.signature(arguments_class.__init__)
    hints = _hints(arguments_class)
    by_name = {_camel(name): name for name in signature.parameters if name != "__self__"}
    for name, value in given.items():
        if name not in by_name:
            yield f"{at}{name} is no argument of {arguments_class.__name__}"
        elif not _fits(hints[by_name[name]], value):
            yield f"{at}{name}: {value!r} is not what {arguments_class.__name__} takes"
        else:
            yield from _below(hints[by_name[name]], value, f"{at}{name}.")
    for name, parameter in signature.parameters.items():
        if name != "__self__" and parameter.default is inspect.Parameter.empty and _camel(name) not in given:
            yield f"{at}{_camel(name)} is missing"


def _hints(arguments_class: type) -> dict[str, Any]:
    names = {**vars(input_classes), "pulumi": pulumi, "Output": pulumi.Output, "T": Any}
    return typing.get_type_hints(arguments_class.__init__, {**names, "_builtins": builtins}, names)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _choices(hint: Any) -> list[Any]:
    """The plain types behind an input: neither futures nor outputs."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [one for part in typing.get_args(hint) for one in _choices(part)]
    origin = typing.get_origin(hint)
    if origin in (collections.abc.Awaitable, pulumi.Output) or isinstance(hint, typing.ForwardRef | str):
        return []
    return [hint]


def _fits(hint: Any, value: Any) -> bool:
    if isinstance(value, Unknown):  # in a preview
        return True
    return any(_is(choice, value) for choice in _choices(hint))


def _is(choice: Any, value: Any) -> bool:
    origin = typing.get_origin(choice)
    if origin is collections.abc.Sequence:
        return isinstance(value, list) and all(_fits(typing.get_args(choice)[0], one) for one in value)
    if origin is collections.abc.Mapping:
        return isinstance(value, dict) and all(_fits(typing.get_args(choice)[1], one) for one in value.values())
    if not isinstance(choice, type):
        return False
    if choice.__module__ == input_classes.__name__:
        return isinstance(value, dict)
    if choice is bool or isinstance(value, bool):
        return choice is bool and isinstance(value, bool)
    return isinstance(value, choice)


def _below(hint: Any, value: Any, at: str) -> Iterator[str]:
    for choice in _choices(hint):
        if typing.get_origin(choice) is collections.abc.Sequence and isinstance(value, list):
            for one in value:
                yield from _below(typing.get_args(choice)[0], one, at)
        elif isinstance(choice, type) and choice.__module__ == input_classes.__name__ and isinstance(value, dict):
            yield from problems(choice, value, at)


ARGUMENTS: dict[str, type] = {
    "docker:index/container:Container": pulumi_docker.ContainerArgs,
    "docker:index/network:Network": pulumi_docker.NetworkArgs,
    "docker:index/volume:Volume": pulumi_docker.VolumeArgs,
    "docker:index/remoteImage:RemoteImage": pulumi_docker.RemoteImageArgs,
}
