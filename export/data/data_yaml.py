"""data.yaml of a dataset, as Roboflow, CVAT and Ultralytics write it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from edgeloop.edge.labels.label_lines import read_text
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.edge.sources.images import is_image, warn_of_unread
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["DataYaml", "find_data_yaml", "is_litter", "read_data_yaml"]

_KEYS = {"train": ("train",), "val": ("val", "valid", "validation")}
_NOTHING = ("", "~", "null", "Null", "NULL")
_SHOWN = 60
_LITTER = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")


@dataclass(frozen=True, slots=True)
class DataYaml:
    """Content of a data.yaml.

    Attributes:
        path: The file.
        names: Class names by class number.
        keypoints: True if labels are boxes with keypoints.
        splits: Folders of images, lists of images and images, as text, by "train" and "val".
        base: Folder that these are relative to.
    """

    path: Path
    names: tuple[str, ...]
    keypoints: bool
    splits: Mapping[str, tuple[str, ...]]
    base: Path

    def images(self, split: str, problems: LabelProblems) -> Iterator[tuple[Path, str]]:
        """List the images of a split, each with its name in the digest of the dataset.

        Raises:
            DataError: There is no such folder, list or image; only if `problems` is strict.
        """
        entries = self.splits[split]
        for entry in entries:
            found = _locate(entry, (self.base, self.path.parent))
            if found is None or not (found.is_dir() or is_image(found) or found.suffix == ".txt"):
                told = f"{split} must name a folder of images, got {entry!r:.80}"
                problems.refuse("missing_folder", f"{self.path}: {told}")
            elif split == "val" and self._is_train(entry, found):
                told = f"val: there is no {entry!r:.80}; what its last part names holds the images of train"
                problems.refuse("missing_folder", f"{self.path}: {told}")
            elif found.is_dir():
                warn_of_unread(found, deep=True)
                for image in sorted(path for path in found.rglob("*") if is_image(path)):
                    name = image.relative_to(found)
                    if not is_litter(name):
                        yield image, (name if len(entries) == 1 else self._name(image)).as_posix()
            elif found.suffix == ".txt":
                for image in self._listed(found, problems):
                    yield image, self._name(image).as_posix()
            else:
                yield found, self._name(found).as_posix()

    def _is_train(self, entry: str, found: Path) -> bool:
        """True if only the last parts of an entry were found, and they name what train names otherwise."""
        parts, kept = _parts(entry), [part for part in found.parts if part != ".."]
        if entry in self.splits["train"] or kept[len(kept) - len(parts) :] == parts:
            return False
        trains = (_locate(train, (self.base, self.path.parent)) for train in self.splits["train"])
        return any(train is not None and train.resolve().is_relative_to(found.resolve()) for train in trains)

    def _listed(self, file: Path, problems: LabelProblems) -> Iterator[Path]:
        for number, line in enumerate(read_text(file).splitlines(), start=1):
            if not line.strip():
                continue
            image = _locate(line, (file.parent, self.base, self.path.parent))
            if image is None or image.is_dir():
                problems.refuse("missing_image", f"{file}:{number}: there is no image {line.strip()[:200]!r}")
            else:
                yield image

    def _name(self, image: Path) -> Path:
        root = self.path.parent
        return image.relative_to(root) if image.is_relative_to(root) else Path(image.name)


def find_data_yaml(dataset: Path) -> Path:
    """Find the data.yaml of a dataset, given its folder or the file.

    Raises:
        NoInputError: There is none.
    """
    if dataset.is_file():
        return dataset
    path = dataset / "data.yaml"
    if path.is_file():
        return path
    others = [own for suffix in ("yaml", "yml") for own in dataset.glob(f"[!.]*.{suffix}") if own.is_file()]
    if len(others) != 1:
        raise NoInputError(f"{path}: no such file; a dataset has data.yaml, images/ and labels/")
    return others[0]


def read_data_yaml(path: Path) -> DataYaml:
    """Read a data.yaml.

    Paths may begin with `../` as in a download of Roboflow, or be those of another machine: what is below the
    file's own folder is found. Every class name is text as it is written: 0, yes and null too.

    Raises:
        NoInputError: It cannot be read.
        DataError: It is malformed.
    """
    try:
        config = yaml.load(read_text(path), _TextLoader)
    except OSError as error:
        raise NoInputError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"{path}: not readable as YAML ({_in_one_line(error)})") from error
    if not isinstance(config, dict):
        raise DataError(f"{path}: expected keys train, val and names, got {type(config).__name__}")
    names = _names(config, path)
    splits = {split: _entries(config, split, path) for split in _KEYS}
    where = config.get("path")
    base = _locate(where, (path.parent,)) if isinstance(where, str) and where not in _NOTHING else None
    if base is None or not base.is_dir():
        base = path.parent
    return DataYaml(path, names, "kpt_shape" in config, splits, base)


class _TextLoader(yaml.BaseLoader):
    """YAML in which every value is the text that is written, and no key is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, times in Counter(keys).items():
            if times > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key[:_SHOWN]!r} is given twice", node.start_mark
                )
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


def _in_one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    told = getattr(error, "problem", None) or str(error) or type(error).__name__
    line = "" if mark is None else f", line {mark.line + 1}"
    return " ".join(str(told).split())[:200] + line


def _names(config: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    names = config.get("names")
    if isinstance(names, dict) and all(isinstance(key, str) and key.strip().isdecimal() for key in names):
        numbered = {int(key): name for key, name in names.items()}
        if sorted(numbered) == list(range(len(names))):
            names = [numbered[index] for index in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: names must list the classes, or map 0, 1, ... to them; got {names!r:.80}")
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        if not name.strip():
            raise DataError(f"{path}: names: class {number} has no name; write `{number}: 'a name'`")
        if name in first:
            raise DataError(
                f"{path}: names: classes {first[name]} and {number} are both {name[:_SHOWN]!r}; "
                f"write `{number}: 'another name'`, or give their labels one class number"
            )
        first[name] = number
    count = config.get("nc")
    if isinstance(count, str) and count not in _NOTHING and count.strip() != str(len(names)):
        raise DataError(f"{path}: nc says {count[:20]}, but names has {len(names)}; correct one of them")
    return tuple(names)


def _entries(config: Mapping[str, Any], split: str, path: Path) -> tuple[str, ...]:
    where: Any = next((config[key] for key in _KEYS[split] if config.get(key) not in (None, *_NOTHING)), [])
    entries = [where] if isinstance(where, str) else where
    if not isinstance(entries, list) or not all(isinstance(e, str) and e.strip() for e in entries):
        raise DataError(f"{path}: {split} must name a folder of images, got {where!r:.80}")
    return tuple(entries)


def _locate(text: str, folders: tuple[Path, ...]) -> Path | None:
    """Find a file or folder that may be written for another machine.

    As it is written, then without `../` in front, then what its last parts name.
    """
    written = _written(text)
    for folder in folders:
        if os.path.exists(folder / written):  # noqa: PTH110  Path.exists raises for names that cannot be
            return folder / written
    parts = _parts(text)
    for begin in range(len(parts)):
        for folder in folders:
            found = folder.joinpath(*parts[begin:])
            if os.path.lexists(found):
                return found
    return None


def _written(text: str) -> PurePosixPath:
    return PurePosixPath(text.strip().replace("\\", "/"))


def _parts(text: str) -> list[str]:
    """Parts of a path below the folder that it begins at."""
    return [part for part in _written(text).parts if part not in ("..", "/")]


def is_litter(name: Path) -> bool:
    """True for what operating systems and tools leave in folders, by its path inside the folder."""
    return any(part.startswith(".") or part in _LITTER for part in name.parts)
