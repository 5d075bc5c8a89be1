"""One model on this machine: its weights, and a supervised server process for each replica."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pulumi

from components.engines.ollama import model_parameters
from components.local.adapters import LocalAdapter, fingerprint
from components.local.commands import llamacpp_command, ollama_command, ollama_environment, ollama_store
from components.local.plan import LocalModel
from components.local.resources import OllamaModel, Process, Weights
from fleet_spec.names import safe_name

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
        adapters = fingerprint(self._model.adapters)
        return self._process(
            f"{self._name}-{index}-{adapters}" if adapters else f"{self._name}-{index}",
            command=weights.path.apply(lambda path: llamacpp_command(self._model, path)),
            health_path="/health",
        )

    def _ollama_urls(self, weights: Weights | None) -> pulumi.Output[list[str]]:
        binary = self._model.ollama_binary
        assert binary is not None, "the plan gives Ollama a binary"  # noqa: S101
        store = ollama_store(self._directory, self._model)
        replicas = [
            self._process(
                f"{self._name}-{index}",
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
            parameters=model_parameters(self._model.spec.serving) or None,
            opts=pulumi.ResourceOptions(parent=self),
        )
        adapters = [self._ollama_adapter(adapter, model, replicas[0]) for adapter in self._model.adapters]
        # An address counts only once the model and its adapters are there to answer.
        there = [model.model, *(adapter.model for adapter in adapters)]
        return pulumi.Output.all(*there, *(replica.url for replica in replicas)).apply(
            lambda found: found[len(there) :]
        )

    def _ollama_adapter(self, adapter: LocalAdapter, base: OllamaModel, server: Process) -> OllamaModel:
        return OllamaModel(
            f"{self._name}-{safe_name(adapter.name)}-adapter",
            server_url=server.url,
            model=adapter.name,
            base=base.model,
            base_digest=base.digest,
            adapter_file=str(adapter.path),
            adapter_sha256=adapter.sha256,
            # Ollama takes any adapter, and sees only as it loads one whether it can apply it.
            warm=True,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _process(
        self,
        name: str,
        *,
        command: pulumi.Input[list[str]],
        health_path: str,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
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
