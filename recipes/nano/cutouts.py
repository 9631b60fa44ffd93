"""Convert pictures with a transparent background to a COCO folder of objects for copy-paste augmentation.

    python -m recipes.nano.cutouts PICTURES -o OUT

Any PNG or WebP with an alpha channel works: renderings, clip art, product pictures. Each becomes one image
with one instance, its opaque part.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import cv2
import numpy as np
from pycocotools import mask as rle

from edgeloop.models.errors import DataError, EdgeloopError, NoInputError

__all__ = ["write_cutouts"]

_SUFFIXES = (".png", ".webp")
_MIN_COVER = 0.08  # opaque fraction of the picture; below are thin lines and small signs


@click.command(help=__doc__)
@click.argument("pictures", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="COCO folder to create.")
def main(pictures: Path, out: Path) -> None:
    """Run the conversion."""
    click.echo(f"{out}: {write_cutouts(pictures, out)} objects")


def write_cutouts(pictures: Path, out: Path) -> int:
    """Write a COCO folder.

    Args:
        pictures: Folder of PNG and WebP files; those without transparency and those that are mostly
            transparent are left out.
        out: Folder to create, with `instances.json` and `images/`.

    Returns:
        Number of objects.

    Raises:
        NoInputError: `pictures` is no folder.
        DataError: None of its files shows an object on a transparent background, or `out` exists.
    """
    if not pictures.is_dir():
        raise NoInputError(f"{pictures}: no such folder; expected PNG or WebP files with transparency")
    if out.exists():
        raise DataError(f"{out}: exists already; name a new folder")
    paths = sorted(path for path in pictures.iterdir() if path.suffix.lower() in _SUFFIXES)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
            continue
        mask = (picture[..., 3] > 127).astype(np.uint8)
        if not _MIN_COVER <= mask.mean() < 1:
            continue
        (out / "images").mkdir(parents=True, exist_ok=True)
        name, (height, width) = f"{path.stem}.png", mask.shape
        cv2.imwrite(str(out / "images" / name), picture[..., :3])
        counts = rle.encode(np.asfortranarray(mask))["counts"].decode()
        segmentation = {"size": [height, width], "counts": counts}
        images.append({"id": len(images), "file_name": name, "width": width, "height": height})
        annotations.append({"id": len(images), "image_id": len(images) - 1, "segmentation": segmentation})
    if not images:
        raise DataError(f"{pictures}: no PNG or WebP with an object on a transparent ground")
    (out / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return len(images)


if __name__ == "__main__":
    try:
        main()
    except EdgeloopError as error:
        raise SystemExit(f"error: {error}") from error
