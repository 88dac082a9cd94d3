"""One image file as the bytes that networks see: three channels of 8 bits. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from drs.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def read_image(path: Path) -> Pixels:
    """The pixels (height, width, 3) of an image file, uint8.

    Grey becomes three equal channels, and CMYK and palettes become RGB. Grey of 16 bits, v in 0..65535, becomes
    round(255 v / 65535): black and white stay what they are. Grey of 32 bits and floating point are refused, because
    nothing in such a file says which value is white.

    Raises:
        DataError: A file that cannot be read, is no image, or whose range of values is not known; it is named.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return _deep(image) if image.mode[0] in "IF" else np.array(image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # Pillow's answer to a PNG with a broken chunk is a SyntaxError
        raise DataError(f"image {path} is corrupt: {error}") from error
    except ValueError as error:
        raise DataError(f"image {path}: {error}") from error


def _deep(image: Image.Image) -> Pixels:
    """Grey of more than 8 bits, scaled to 8."""
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    bits = getattr(image, "tag_v2", {}).get(258, (16,))[0]  # TIFF: BitsPerSample
    if not sixteen or bits != 16:
        kind = f"{bits} bits" if sixteen else f"mode {image.mode!r}"
        raise ValueError(f"expected grey or colour of 8 bits or grey of 16, got {kind}; save it as one of these")
    grey = (np.array(image).astype(np.int64) + 128) // 257  # 65535 = 255 * 257
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
