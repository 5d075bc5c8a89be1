"""What a tool says where it cannot do what it was asked. The model reads the text, so it says what to do instead."""

from __future__ import annotations

from fleet_spec.errors import BadInputError, PaddockError


class ToolError(PaddockError):
    """A tool could not do its work: what it was given is wrong, or what it needs failed."""


class ToolSetupError(BadInputError):
    """A tool cannot be offered as it was set up: a setting is missing or wrong, or a library is not installed."""


class SandboxUnavailableError(ToolSetupError):
    """This machine cannot isolate code from the network and from its files, and nobody allowed to run it without."""
