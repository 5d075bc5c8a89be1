"""One model on this machine: its weights, and a supervised server process for each replica."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pulumi

from components.local.commands import llamacpp_command, ollama_command, ollama_environment
from components.local.plan import LocalModel
from components.local.resources import OllamaModel, Process, Weights

MODEL_PORTS = (18100, 18999)
"""Model servers get their ports from here, first and last; below Linux's range for outgoing connections."""

START_TIMEOUT_SECONDS = 300
"""Weights of many gigabytes take minutes to read from a slow disk."""
STOP_TIMEOUT_SECONDS = 10


class ModelService(pulumi.ComponentResource):
    """Serves one model.

    Attributes:
        urls: The base address of each replica, known once the replica has answered.
    """

    urls: pulumi.Output[list[str]]

    def __init__(
        self, name: str, *, model: LocalModel, directory: Path, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Describe the service.

        Args:
            name: The resource's name; children take theirs from it.
            model: What to serve, decided.
            directory: The stack's own directory, which holds what its processes keep.
            opts: Options of the component.
        """
        super().__init__("paddock:local:ModelService", name, None, opts)
        self._name = name
        self._model = model
        self._directory = directory
        weights = self._weights()
        if model.engine == "llamacpp":
            assert weights is not None, "the plan gives llama.cpp a file"  # noqa: S101
            replicas = [self._llamacpp_replica(index, weights) for index in range(model.spec.replicas.max)]
            self.urls = pulumi.Output.all(*(replica.url for replica in replicas))
        else:
            self.urls = self._ollama_urls(weights)
        self.register_outputs({"urls": self.urls})

    def _weights(self) -> Weights | None:
        source = self._model.weights
        if source is None:
            return None
        return Weights(
            f"{self._name}-weights",
            file_name=source.file_name,
            sha256=source.sha256,
            size_bytes=source.size_bytes,
            package_module=source.package_module,
            path=str(source.path) if source.path is not None else None,
            install_hint=source.install_hint,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _llamacpp_replica(self, index: int, weights: Weights) -> Process:
        return self._process(
            index,
            command=weights.path.apply(lambda path: llamacpp_command(self._model, path)),
            health_path="/health",
        )

    def _ollama_urls(self, weights: Weights | None) -> pulumi.Output[list[str]]:
        binary = self._model.ollama_binary
        assert binary is not None, "the plan gives Ollama a binary"  # noqa: S101
        store = self._directory / "ollama" / self._model.safe_name
        replicas = [
            self._process(
                index,
                command=ollama_command(binary),
                environment=ollama_environment(self._model, store),
                health_path="/api/version",
            )
            for index in range(self._model.spec.replicas.max)
        ]
        # The replicas share one store, so one of them fetches the model for all.
        model = OllamaModel(
            f"{self._name}-model",
            server_url=replicas[0].url,
            model=self._model.served_name,
            from_file=weights.path if weights is not None else None,
            from_file_sha256=weights.sha256 if weights is not None else None,
            template=self._model.prompting.ollama if self._model.prompting is not None else None,
            stop=list(self._model.prompting.stop) if self._model.prompting is not None else None,
            opts=pulumi.ResourceOptions(parent=self),
        )
        # An address counts only once the model is there to answer.
        return pulumi.Output.all(model.model, *(replica.url for replica in replicas)).apply(lambda found: found[1:])

    def _process(
        self,
        index: int,
        *,
        command: pulumi.Input[list[str]],
        health_path: str,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        name = f"{self._name}-{index}"
        return Process(
            name,
            name=name,
            directory=str(self._directory / "processes" / name),
            command=command,
            environment=environment,
            port=0,
            port_range_start=MODEL_PORTS[0],
            port_range_end=MODEL_PORTS[1],
            health_path=health_path,
            start_timeout_seconds=START_TIMEOUT_SECONDS,
            stop_timeout_seconds=STOP_TIMEOUT_SECONDS,
            opts=pulumi.ResourceOptions(parent=self),
        )
