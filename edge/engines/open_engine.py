"""Choice of the engine for a model file: by its suffix; onnxruntime unless another one claims it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from edgeloop.edge.engines.engine_protocol import Engine
from edgeloop.edge.engines.providers import PROVIDERS
from edgeloop.edge.engines.session import Session
from edgeloop.models.errors import UnavailableError, UsageError
from edgeloop.models.facts.facts_path import facts_path
from edgeloop.models.weights.digest import file_sha256

__all__ = [
    "ENGINES",
    "ONNX_ENGINES",
    "EngineKind",
    "engine_of",
    "installed_engines",
    "model_digest",
    "onnx_providers",
    "open_engine",
    "provider_names",
]


class EngineKind(NamedTuple):
    """An optional engine.

    Attributes:
        suffix: Suffix of its files; "" if it runs ONNX files, chosen by its providers.
        package: Package to import.
        extra: Extra of edgeloop that brings the package, or the maker's name for it.
        opener: Module and class that open a file.
        providers: Values of `provider` beside "auto", the first one its default.
        missing: Advice if the package is missing, where an extra is not all.
        distribution: Name of what pip installs, if it is another than the package's.
    """

    suffix: str
    package: str
    extra: str
    opener: str
    providers: tuple[str, ...] = ("cpu",)
    missing: str = ""
    distribution: str = ""

    @property
    def version(self) -> str:
        """Version that is installed; "" if none is."""
        try:
            return version(self.distribution or self.package)
        except PackageNotFoundError:
            return ""

    @property
    def advice(self) -> str:
        """Advice if the package is missing."""
        return self.missing or f"pip install 'edgeloop[{self.extra}]'"


#: Engines beside onnxruntime, by name.
ENGINES: Mapping[str, EngineKind] = {
    "ncnn": EngineKind(".ncnn", "ncnn", "ncnn", "ncnn_engine:NcnnEngine", ("cpu", "vulkan")),
    "litert": EngineKind(".tflite", "ai_edge_litert", "litert", "litert_engine:LitertEngine"),
    "openvino": EngineKind(
        "",
        "openvino",
        "openvino",
        "openvino_engine:OpenVinoEngine",
        ("openvino", "openvino-gpu", "openvino-npu"),
    ),
    "rknn": EngineKind(
        ".rknn",
        "rknnlite",
        "rknn",
        "rknn_engine:RknnEngine",
        ("npu",),
        missing="on the board pip install 'edgeloop[rknn]'; elsewhere no .rknn file can be opened, and the "
        "export ran it in Rockchip's simulator",
        distribution="rknn-toolkit-lite2",
    ),
    "hailo": EngineKind(
        ".hef",
        "hailo_platform",
        "hailo",
        "hailo_engine:HailoEngine",
        ("npu",),
        missing="install HailoRT and its Python package from Hailo's developer zone",
        distribution="hailort",
    ),
}


#: Engines that run ONNX files, which explain themselves.
ONNX_ENGINES = ("onnxruntime", "openvino")


def engine_of(path: Path, provider: str = "auto") -> str:
    """Name of the engine that runs a file, of ONNX files on a provider."""
    suffix = path.suffix.lower()
    for name, kind in ENGINES.items():
        if kind.suffix == suffix != "":
            return name
    chosen = (name for name, kind in ENGINES.items() if not kind.suffix and provider in kind.providers)
    return next(chosen, "onnxruntime")


def model_digest(path: Path) -> str:
    """SHA-256 that names a model: of its file, or of its facts, which carry the file's; raises OSError."""
    return file_sha256(path if engine_of(path) == "onnxruntime" else facts_path(path))


def onnx_providers() -> tuple[str, ...]:
    """Values of `provider` for an ONNX file, beside "auto"."""
    others = (provider for kind in ENGINES.values() if not kind.suffix for provider in kind.providers)
    return (*PROVIDERS, *others)


def installed_engines() -> dict[str, bool]:
    """Engines by name, and whether their package is installed."""
    return {"onnxruntime": True} | {name: _is_here(kind.package) for name, kind in ENGINES.items()}


def provider_names() -> tuple[str, ...]:
    """Providers of all engines, without repetition; which of them a file can have its suffix says."""
    others = (provider for kind in ENGINES.values() for provider in kind.providers)
    return tuple(dict.fromkeys((*PROVIDERS, *others)))


def open_engine(
    path: Path,
    *,
    provider: str = "auto",
    allow_cpu: bool = False,
    threads: int | None = None,
    parallel: int = 1,
    bare: bool = False,
) -> Engine:
    """Open a model file with the engine that its suffix or the provider names.

    Args:
        path: Model file.
        provider: "auto", or a provider of the engine.
        allow_cpu: Let the CPU run the operators that the provider does not support.
        threads: CPU threads of one inference; None for one per physical core.
        parallel: Inferences at a time, for engines that plan for it.
        bare: Keep the default settings of the engine, except for safety; the baseline of `bench`.

    Returns:
        The engine.

    Raises:
        NoInputError: The file does not exist.
        ModelError: The file or its facts cannot be read, or do not belong together.
        UsageError: The engine has no such provider.
        UnavailableError: The engine is not installed, or the provider does not work here.
    """
    name = engine_of(path, provider)
    if name == "onnxruntime":
        if provider not in ("auto", *onnx_providers()):
            raise UsageError(
                f"provider '{provider}': unknown, expected auto or one of {', '.join(onnx_providers())}"
            )
        return Session(path, provider=provider, allow_cpu=allow_cpu, threads=threads, bare=bare)
    kind = ENGINES[name]
    if provider not in ("auto", *kind.providers):
        expected = ", ".join(("auto", *kind.providers))
        raise UsageError(f"provider '{provider}': {path.name} runs with {name}, expected {expected}")
    if kind.suffix:
        return _opener(path, name)(
            path, provider=kind.providers[0] if provider == "auto" else provider, threads=threads
        )
    settings = {"provider": provider, "threads": threads, "parallel": parallel, "bare": bare}
    try:
        return _opener(path, name)(path, allow_cpu=allow_cpu, **settings)
    except UnavailableError as error:
        if not allow_cpu:
            raise
        session = Session(path, provider="cpu", threads=threads, bare=bare)
        session.placement = replace(session.placement, refused=str(error))
        return session


def _opener(path: Path, name: str) -> Callable[..., Engine]:
    """Import the class of an optional engine."""
    kind = ENGINES[name]
    if not _is_here(kind.package):
        raise UnavailableError(f"{path}: runs with {name}, which is not installed here; {kind.advice}")
    module, _, attribute = kind.opener.partition(":")
    opener: Callable[..., Engine] = getattr(import_module(f"edgeloop.edge.engines.{module}"), attribute)
    return opener


def _is_here(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of a package within a package
        return False
