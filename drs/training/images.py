"""One image file as the bytes that networks see: three channels of 8 bits. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from drs.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Pixels", "read_image"]

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def read_image(path: Path) -> Pixels:
    """The pixels (height, width, 3) of an image file, uint8.

    Grey becomes three equal channels, and CMYK and palettes become RGB. Grey of 16 bits, v in 0..65535, becomes
    round(255 v / 65535): black and white stay what they are. Grey of 32 bits and floating point are refused, because
    nothing in such a file says which value is white. What is transparent is laid on white. An image that a camera
    marks as turned (EXIF) is turned upright.

    Raises:
        DataError: A file that cannot be read, is no image, or whose range of values is not known; it is named.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            sixteen = _has_16_bits(image)
            upright = ImageOps.exif_transpose(image)
            return _to_8_bits(upright) if sixteen else np.array(_on_white(upright))
    except Image.DecompressionBombError as error:
        raise DataError(f"image {path} is too large to be read, make it smaller: {error}") from error
    except ValueError as error:
        raise DataError(f"image {path}: {error}") from error
    except Exception as error:  # Pillow answers a broken file with errors of many kinds, SyntaxError among them
        problem = "cannot be read" if isinstance(error, OSError) and error.errno else "is corrupt"
        raise DataError(f"image {path} {problem}: {error}") from error


def _has_16_bits(image: Image.Image) -> bool:
    """Whether an image is grey of 16 bits; deeper ones, and those between 8 and 16, are refused."""
    if image.mode[0] not in "IF":
        return False
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    bits = getattr(image, "tag_v2", {}).get(258, (16,))[0]  # TIFF: BitsPerSample
    if not sixteen or bits != 16:
        kind = f"{bits} bits" if sixteen else f"mode {image.mode!r}"
        raise ValueError(f"expected grey or colour of 8 bits or grey of 16, got {kind}; save it as one of these")
    return True


def _to_8_bits(image: Image.Image) -> Pixels:
    values = np.array(image).astype(np.int64)
    if "transparency" in image.info:  # the one value that is transparent
        values[values == image.info["transparency"]] = 65535
    grey = ((values + 128) // 257).astype(np.uint8)  # 65535 = 255 * 257
    return np.repeat(grey[:, :, None], 3, axis=2)


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    drawn = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")
