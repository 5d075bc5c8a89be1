"""What the plan decides about one model and about the whole fleet: nothing is left to choose after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from components.docker.description import GpuDevices
from fleet_spec.catalogue_entry import GgufSource, Prompting
from fleet_spec.model_spec import ModelSpec
from fleet_spec.names import safe_name
from fleet_spec.spec import FleetSpec

EngineName = Literal["llamacpp", "ollama", "vllm"]
PORTS: dict[EngineName, int] = {"llamacpp": 8080, "ollama": 11434, "vllm": 8000}


@dataclass(frozen=True)
class WeightsFile:
    """A GGUF file of the user's own, on the Docker host."""

    path: str
    sha256: str
    prompting: Prompting | None
    """How to prompt it where its own template is missing or wrong, and somebody knows better."""


@dataclass(frozen=True)
class DockerModel:
    """One model, decided."""

    name: str
    """As the config has it."""
    safe_name: str
    spec: ModelSpec
    generation: str
    """Changes with what is in the volume of weights, so that another source gets another volume."""
    engine: EngineName
    image: str
    source: str | GgufSource | WeightsFile
    """A tag of Ollama's library, a repository on Hugging Face, a file there, or a file of the host."""
    served_name: str
    """What the engine calls it."""
    context_length: int
    parallel: int
    capabilities: tuple[str, ...]
    gpus: tuple[GpuDevices | None, ...]
    """What each replica sees. Its length is the number of replicas."""
    memory_bytes: int
    """What one replica may use at most."""
    needed_bytes: int | None
    """What one replica is reckoned to need of main memory; None where nothing is known of it."""
    weights_bytes: int | None
    cpus: float | None

    @property
    def volume(self) -> str:
        """The volume that holds its weights."""
        return f"weights-{self.safe_name}-{self.generation}"

    def host(self, replica: int) -> str:
        """A replica's container, and its DNS name."""
        return f"{self.safe_name}-{replica}"

    def url(self, replica: int) -> str:
        """Where a replica answers inside the fleet's network."""
        return f"http://{self.host(replica)}:{PORTS[self.engine]}"

    @property
    def downloads(self) -> bool:
        """Whether its weights come from the network."""
        return not isinstance(self.source, WeightsFile)


@dataclass(frozen=True)
class DockerPlan:
    """A whole fleet, decided."""

    spec: FleetSpec
    stack: str
    models: tuple[DockerModel, ...]
    router_image: str
    web_ui_image: str

    @property
    def project(self) -> str:
        """Begins the name of everything that the fleet has on the host."""
        return f"paddock-{safe_name(self.stack)}"
