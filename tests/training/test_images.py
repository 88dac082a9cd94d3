"""One image file as bytes: every depth, what is transparent, what is turned, and what is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drs.errors import DataError
from drs.training.images import read_image

RAMP = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040  # 0 to 65520


def saved(values: np.ndarray, path: Path, mode: str | None = None, **options: Any) -> Path:
    image = Image.fromarray(values)
    assert mode is None or image.mode == mode
    image.save(path, **options)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_image(path)
    return str(error.value)


# --- depth -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_16_bits_are_scaled_by_65535(suffix: str, tmp_path: Path) -> None:
    pixels = read_image(saved(RAMP, tmp_path / f"ramp.{suffix}", "I;16"))
    assert (pixels.dtype, pixels.shape) == (np.dtype(np.uint8), (8, 8, 3))
    assert len(np.unique(pixels)) == 64
    expected = [round(int(value) / 65535 * 255) for value in RAMP.ravel()]
    for channel in range(3):
        assert pixels[..., channel].ravel().tolist() == expected
    assert expected[:4] == [0, 4, 8, 12]
    assert expected[-1] == 255


def test_black_and_white_of_16_bits_stay_what_they_are(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 32767, 32768, 65406, 65407, 65535]], dtype=np.uint16)
    assert read_image(saved(values, tmp_path / "a.png"))[0, :, 0].tolist() == [0, 0, 1, 127, 128, 254, 255, 255]


def test_big_endian_tiff(tmp_path: Path) -> None:
    image = Image.frombytes("I;16B", (8, 8), RAMP.astype(">u2").tobytes())
    image.save(tmp_path / "a.tiff")
    assert np.array_equal(read_image(tmp_path / "a.tiff"), read_image(saved(RAMP, tmp_path / "b.png")))


@pytest.mark.parametrize(("kind", "mode"), [(np.float32, "F"), (np.int32, "I")])
def test_a_range_that_is_not_known_is_refused(kind: type, mode: str, tmp_path: Path) -> None:
    path = saved(RAMP.astype(kind), tmp_path / "a.tiff", mode)
    assert refusal(path) == (
        f"image {path}: expected grey or colour of 8 bits or grey of 16, got mode {mode!r}; save it as one of these"
    )


def test_12_bits_of_a_tiff_are_refused(tmp_path: Path) -> None:
    path = saved(np.zeros((8, 8), dtype=np.uint16), tmp_path / "a.tiff")
    data = path.read_bytes()
    before = (258).to_bytes(2, "little") + (3).to_bytes(2, "little") + (1).to_bytes(4, "little")
    assert data.count(before + bytes([16, 0])) == 1
    path.write_bytes(data.replace(before + bytes([16, 0]), before + bytes([12, 0])))
    assert refusal(path).startswith(f"image {path}: expected grey or colour of 8 bits or grey of 16, got 12 bits; ")


def test_8_bits_stay_what_they_are(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    grey = colour[..., 0]
    assert np.array_equal(read_image(saved(colour, tmp_path / "colour.png", "RGB")), colour)
    assert np.array_equal(read_image(saved(grey, tmp_path / "grey.png", "L")), np.stack(3 * [grey], axis=2))
    assert read_image(saved(grey > 127, tmp_path / "bits.png", "1")).ravel().tolist() == (
        np.repeat(np.where(grey > 127, 255, 0).ravel(), 3).tolist()
    )
    palette = Image.fromarray(colour).quantize(8)
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(read_image(tmp_path / "palette.png"), np.array(palette.convert("RGB")))
    cmyk = Image.fromarray(colour).convert("CMYK")
    cmyk.save(tmp_path / "cmyk.tiff")
    assert np.array_equal(read_image(tmp_path / "cmyk.tiff"), np.array(cmyk.convert("RGB")))


# --- transparency ----------------------------------------------------------------------------------------------------

ALPHA = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize("channels", [4, 2])
def test_black_of_growing_opacity_lies_on_white(channels: int, tmp_path: Path) -> None:
    values = np.zeros((16, 16, channels), dtype=np.uint8)
    values[..., -1] = ALPHA
    pixels = read_image(saved(values, tmp_path / "a.png", {4: "RGBA", 2: "LA"}[channels]))
    assert np.array_equal(pixels, np.stack(3 * [255 - ALPHA], axis=2))


def test_a_colour_that_is_half_transparent(tmp_path: Path) -> None:
    values = np.full((2, 2, 4), (200, 0, 100, 51), dtype=np.uint8)  # a fifth of the colour, four fifths of white
    assert read_image(saved(values, tmp_path / "a.png"))[0, 0].tolist() == [244, 204, 224]


def test_an_opaque_image_keeps_its_colours(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (6, 4, 4), dtype=np.uint8)
    values[..., 3] = 255
    assert np.array_equal(read_image(saved(values, tmp_path / "a.png")), values[..., :3])


def test_transparent_entries_of_palettes_and_grey_values(tmp_path: Path) -> None:
    palette = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    palette.save(tmp_path / "a.png", transparency=1)
    assert read_image(tmp_path / "a.png").tolist() == [[[10, 20, 30], [255, 255, 255], [70, 80, 90]]]
    saved(np.array([[0, 7, 9]], dtype=np.uint8), tmp_path / "b.png", "L", transparency=7)
    assert read_image(tmp_path / "b.png")[0, :, 0].tolist() == [0, 255, 9]
    saved(np.array([[0, 257 * 7, 257 * 9]], dtype=np.uint16), tmp_path / "c.png", "I;16", transparency=257 * 7)
    assert read_image(tmp_path / "c.png")[0, :, 0].tolist() == [0, 255, 9]


# --- orientation -----------------------------------------------------------------------------------------------------

UPRIGHT = np.arange(24, dtype=np.uint8).reshape(6, 4) * 10
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}
"""What a file with each orientation holds of one image: 6, the most common one, is to be turned right by a quarter."""


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", STORED)
def test_images_are_turned_upright(orientation: int, suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation])).convert("RGB")
    stored.save(tmp_path / f"a.{suffix}", exif=exif, lossless=True)  # WebP would blur it
    assert np.array_equal(read_image(tmp_path / f"a.{suffix}")[..., 0], UPRIGHT)


def test_a_turned_jpeg_and_a_turned_image_of_16_bits(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6), "red").save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (8, 6, 3)
    saved(np.ascontiguousarray(np.rot90(RAMP[:, :4])), tmp_path / "b.png", "I;16", exif=exif)
    assert np.array_equal(read_image(tmp_path / "b.png"), read_image(saved(RAMP[:, :4], tmp_path / "c.png")))


# --- files that cannot be read ---------------------------------------------------------------------------------------


def claims_size(path: Path, width: int, height: int) -> Path:
    """A PNG whose header claims this size."""
    data = saved(np.zeros((2, 2), dtype=np.uint8), path).read_bytes()
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    path.write_bytes(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])
    return path


def test_a_huge_image_is_one_sentence(tmp_path: Path) -> None:
    path = claims_size(tmp_path / "a.png", 20_000, 20_000)
    assert refusal(path).startswith(
        f"image {path} is too large to be read, make it smaller: Image size (400000000 pixels)"
    )


def test_a_file_that_is_not_there_or_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert refusal(path) == f"image {path} cannot be read: [Errno 2] No such file or directory: '{path}'"
    path.write_bytes(b"")
    assert refusal(path).startswith(f"image {path} is corrupt: cannot identify image file")


@pytest.mark.parametrize(
    "error", [struct.error("short"), OverflowError("short"), EOFError("short"), TypeError("short")]
)
def test_any_error_of_the_decoder_names_the_file(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(image: Image.Image) -> None:
        raise error

    path = saved(UPRIGHT, tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", fail)
    monkeypatch.setattr("PIL.ImageOps.exif_transpose", fail)
    assert refusal(path) == f"image {path} is corrupt: short"
