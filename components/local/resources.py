"""The local target's resources as a program writes them. The provider plugin carries them out.

Each class is a thin, typed front: what the inputs mean and do is told in ``components/local/provider``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi


class _LocalResource(pulumi.CustomResource):
    """Keeps properties under their names in the engine, so that keys of maps are never renamed."""

    def _output(self, name: str) -> pulumi.Output[Any]:
        return self.__dict__[name]


class Weights(_LocalResource):
    """A model's weights as one verified file of this machine."""

    def __init__(
        self,
        resource_name: str,
        *,
        file_name: pulumi.Input[str],
        sha256: pulumi.Input[str],
        size_bytes: pulumi.Input[int] | None = None,
        package_module: pulumi.Input[str] | None = None,
        path: pulumi.Input[str] | None = None,
        install_hint: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the file.

        Args:
            resource_name: The resource's name.
            file_name: What the file is called.
            sha256: Its hash in hexadecimal.
            size_bytes: Its size, for a quicker and clearer refusal of a wrong file.
            package_module: An installed module that puts the file together (``assemble(path)``). Either
                this or ``path``.
            path: A file of the user's, which stays where it is.
            install_hint: The command that installs the package, for the error where it is missing.
            opts: Options of the resource.
        """
        properties = {
            "fileName": file_name,
            "sha256": sha256,
            "sizeBytes": size_bytes,
            "packageModule": package_module,
            "path": path,
            "installHint": install_hint,
        }
        super().__init__("paddock:local:Weights", resource_name, properties, opts)

    @property
    def path(self) -> pulumi.Output[str]:
        """The absolute path of the file."""
        return self._output("path")

    @property
    def sha256(self) -> pulumi.Output[str]:
        """Its hash in hexadecimal."""
        return self._output("sha256")


class File(_LocalResource):
    """A file with given content."""

    def __init__(
        self,
        resource_name: str,
        *,
        path: pulumi.Input[str],
        content: pulumi.Input[str],
        mode: pulumi.Input[str] = "0600",
        directory_mode: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the file.

        Args:
            resource_name: The resource's name.
            path: Absolute. A change means another file.
            content: The whole text. Stays secret where it is.
            mode: Its permissions in octal digits.
            directory_mode: Those of the folder that it is in, where that folder is for such files alone: it is
                made with them, and goes with the last of its files.
            opts: Options of the resource.
        """
        properties = {"path": path, "content": content, "mode": mode, "directoryMode": directory_mode}
        super().__init__("paddock:local:File", resource_name, properties, opts)

    @property
    def path(self) -> pulumi.Output[str]:
        """Where the file is, known once it is written."""
        return self._output("path")


class Process(_LocalResource):
    """A looked-after process of this machine, known once it answers."""

    def __init__(
        self,
        resource_name: str,
        *,
        name: pulumi.Input[str],
        directory: pulumi.Input[str],
        command: pulumi.Input[Sequence[pulumi.Input[str]]],
        environment: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        host: pulumi.Input[str] | None = None,
        port: pulumi.Input[int] = 0,
        port_range_start: pulumi.Input[int] | None = None,
        port_range_end: pulumi.Input[int] | None = None,
        port_key: pulumi.Input[str] | None = None,
        health_path: pulumi.Input[str] = "/",
        start_timeout_seconds: pulumi.Input[float] | None = None,
        stop_timeout_seconds: pulumi.Input[float] | None = None,
        restart_key: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the process.

        Args:
            resource_name: The resource's name.
            name: Lower-case letters, digits, '.', '_' and '-'; unique in the stack.
            directory: Absolute, its own: record, logs, and what the process runs in. Removed at the end.
            command: The program and its arguments; ``{port}`` becomes the port.
            environment: Added to the few variables every process inherits; ``{port}`` as above.
            host: The address it listens on; 127.0.0.1 unless given.
            port: The port; 0 has one chosen once, and kept.
            port_range_start: The lowest port to choose.
            port_range_end: The highest port to choose.
            port_key: The key of the stack's config that holds the port, for error messages.
            health_path: Answers 200 to GET when the process is ready.
            start_timeout_seconds: How long that may take.
            stop_timeout_seconds: How long it may take to end after SIGTERM before it is killed.
            restart_key: Any text; a change restarts the process.
            opts: Options of the resource.
        """
        properties = {
            "name": name,
            "directory": directory,
            "command": command,
            "environment": environment,
            "host": host,
            "port": port,
            "portRangeStart": port_range_start,
            "portRangeEnd": port_range_end,
            "portKey": port_key,
            "healthPath": health_path,
            "startTimeoutSeconds": start_timeout_seconds,
            "stopTimeoutSeconds": stop_timeout_seconds,
            "restartKey": restart_key,
            **dict.fromkeys(("url", "logFile", "pid", "startedAt", "running")),
        }
        super().__init__("paddock:local:Process", resource_name, properties, opts)

    @property
    def port(self) -> pulumi.Output[int]:
        """The port it listens on."""
        return self._output("port").apply(int)

    @property
    def url(self) -> pulumi.Output[str]:
        """Its base address on this machine, such as ``http://127.0.0.1:18101``."""
        return self._output("url")

    @property
    def log_file(self) -> pulumi.Output[str]:
        """Where its output goes."""
        return self._output("logFile")

    @property
    def pid(self) -> pulumi.Output[int]:
        """The id of the supervisor; 0 where it does not run."""
        return self._output("pid").apply(int)

    @property
    def started_at(self) -> pulumi.Output[str]:
        """When the supervisor started, as ISO 8601 in UTC."""
        return self._output("startedAt")

    @property
    def running(self) -> pulumi.Output[bool]:
        """Whether it ran when the engine looked last."""
        return self._output("running")


class OllamaModel(_LocalResource):
    """A model in the store of a running Ollama server."""

    def __init__(
        self,
        resource_name: str,
        *,
        server_url: pulumi.Input[str],
        model: pulumi.Input[str],
        pull_tag: pulumi.Input[str] | None = None,
        from_file: pulumi.Input[str] | None = None,
        from_file_sha256: pulumi.Input[str] | None = None,
        template: pulumi.Input[str] | None = None,
        stop: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        parameters: pulumi.Input[Mapping[str, Any]] | None = None,
        base: pulumi.Input[str] | None = None,
        base_digest: pulumi.Input[str] | None = None,
        adapter_file: pulumi.Input[str] | None = None,
        adapter_sha256: pulumi.Input[str] | None = None,
        warm: pulumi.Input[bool] = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Describe the model.

        Args:
            resource_name: The resource's name.
            server_url: The server's base address.
            model: What the server calls the model.
            pull_tag: What the library calls it, where that differs. Ignored where ``from_file`` is given.
            from_file: A GGUF file to make the model from, in place of pulling it.
            from_file_sha256: That file's hash in hexadecimal.
            template: Ollama's prompt template, in place of the model's own.
            stop: Texts that end a reply.
            parameters: Ollama's model parameters, such as ``num_ctx``.
            base: A model of the same server that an adapter makes this one of. Nothing is pulled then.
            base_digest: That model's hash: where it changes, this one is made again.
            adapter_file: The adapter, a GGUF file.
            adapter_sha256: Its hash in hexadecimal.
            warm: Whether to load the model at once.
            opts: Options of the resource.
        """
        properties = {
            "serverUrl": server_url,
            "model": model,
            "pullTag": pull_tag,
            "fromFile": from_file,
            "fromFileSha256": from_file_sha256,
            "template": template,
            "stop": stop,
            "parameters": parameters,
            "base": base,
            "baseDigest": base_digest,
            "adapterFile": adapter_file,
            "adapterSha256": adapter_sha256,
            "warm": warm,
            "digest": None,
        }
        super().__init__("paddock:local:OllamaModel", resource_name, properties, opts)

    @property
    def model(self) -> pulumi.Output[str]:
        """What the server calls the model, known once the model is there."""
        return self._output("model")

    @property
    def digest(self) -> pulumi.Output[str]:
        """The hash of the model's manifest."""
        return self._output("digest")
