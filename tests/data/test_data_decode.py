from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from coopnets.data.decode import decode, reason, whole


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def colour(pixels: np.ndarray) -> list[int]:
    """The colour of a picture that has only one."""
    assert (pixels == pixels[:, :1, :1]).all()
    return [int(value) for value in pixels[:, 0, 0]]


def test_shape_and_channel_order() -> None:
    pixels = decode(encoded(Image.new("RGB", (9, 7), (255, 128, 0)), "PNG"), (4, 6), 3)
    assert pixels.shape == (3, 4, 6) and pixels.dtype == np.uint8
    assert colour(pixels) == [255, 128, 0]


def test_same_size_is_left_untouched() -> None:
    raw = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    assert (decode(raw, (8, 6), 3) == raw.transpose(2, 0, 1)).all()


def test_grey_is_luma_and_grey_to_rgb_repeats() -> None:
    red = encoded(Image.new("RGB", (8, 8), (255, 0, 0)), "PNG")
    assert colour(decode(red, (8, 8), 1)) == [76]  # 0.299 * 255
    grey = encoded(Image.new("L", (8, 8), 90), "PNG")
    assert colour(decode(grey, (8, 8), 3)) == [90, 90, 90]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotated_picture_comes_out_upright(orientation: int) -> None:
    upright = np.zeros((16, 16), dtype=np.uint8)
    upright[:8, :8], upright[:8, 8:] = 250, 120  # no two turns or mirrors of it agree
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose undoing each
    image = Image.fromarray(upright)
    if orientation > 1:
        image = image.transpose(Image.Transpose(inverse[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (decode(encoded(image, "PNG", exif=exif), (16, 16), 1)[0] == upright).all()


@pytest.mark.parametrize(
    ("mode", "value"),
    [("RGBA", (200, 0, 0, 0)), ("LA", (10, 0)), ("RGBa", (0, 0, 0, 0)), ("La", (0, 0))],
)
def test_full_transparency_is_white(mode: str, value: tuple[int, ...]) -> None:
    assert colour(decode(Image.new(mode, (8, 8), value), (8, 8), 3)) == [255, 255, 255]
    assert colour(decode(Image.new(mode, (8, 8), value), (8, 8), 1)) == [255]


def test_half_transparency_mixes_with_white() -> None:
    raw = encoded(Image.new("RGBA", (8, 8), (0, 100, 0, 128)), "PNG")
    red, green, blue = colour(decode(raw, (8, 8), 3))
    assert (red, blue) == (127, 127) and abs(green - (100 * 128 + 255 * 127) / 255) <= 1


def test_palette_gives_its_colours_and_its_transparent_entry_white() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 200, 30, 50, 60, 70])
    assert colour(decode(encoded(image, "PNG"), (8, 8), 3)) == [10, 200, 30]
    assert colour(decode(encoded(image, "PNG", transparency=1), (8, 8), 3)) == [255] * 3


def test_transparent_colour_of_rgb_png_is_white() -> None:
    raw = encoded(Image.new("RGB", (8, 8), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert colour(decode(raw, (8, 8), 3)) == [255, 255, 255]


def test_cmyk_ink_comes_out_as_its_colour() -> None:
    raw = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF")
    assert colour(decode(raw, (8, 8), 3)) == [255, 0, 0]


def test_bilevel_is_black_and_white() -> None:
    assert colour(decode(encoded(Image.new("1", (8, 8), 1), "PNG"), (8, 8), 1)) == [255]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_ramp_keeps_its_proportions(kind: str) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(256, axis=0)
    raw = encoded(Image.fromarray(ramp), kind)
    assert (decode(raw, (256, 256), 1)[0] == np.arange(256)).all()


def test_dark_16_bit_picture_stays_dark() -> None:
    dark = np.full((8, 8), 2570, dtype=np.uint16)
    assert colour(decode(encoded(Image.fromarray(dark), "PNG"), (8, 8), 3)) == [10, 10, 10]


def test_32_bit_grey_is_read_as_16_bit_and_refused_beyond() -> None:
    level = np.full((8, 8), 25700, dtype=np.int32)
    assert colour(decode(encoded(Image.fromarray(level), "TIFF"), (8, 8), 1)) == [100]
    with pytest.raises(ValueError, match=r"65536, expected 0\.\.65535"):
        decode(encoded(Image.fromarray(np.full((8, 8), 65536, np.int32)), "TIFF"), (8, 8), 1)


def test_float_grey_is_unit_range_and_refused_beyond() -> None:
    half = np.full((8, 8), 0.4, dtype=np.float32)
    assert colour(decode(encoded(Image.fromarray(half), "TIFF"), (8, 8), 1)) == [102]
    for bad in (200.0, -0.5, float("nan")):
        with pytest.raises(ValueError, match="expected"):
            decode(Image.fromarray(np.full((8, 8), bad, np.float32)), (8, 8), 1)


def test_fine_checkerboard_shrinks_to_mid_grey() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels = decode(encoded(Image.fromarray(board), "PNG"), (8, 8), 1)
    assert (abs(pixels.astype(int) - 127.5) < 8).all()


def test_centre_is_kept_and_shapes_are_not_distorted() -> None:
    wide = np.zeros((10, 30), dtype=np.uint8)
    wide[:, 10:20] = 255  # exactly the central square is white
    for picture, inner in ((wide, np.s_[:, 1:-1]), (wide.T, np.s_[1:-1])):
        pixels = decode(encoded(Image.fromarray(picture), "PNG"), (5, 5), 1)[0]
        assert (pixels[inner] == 255).all()
        assert pixels.min() > 230  # the filter looks a little beyond the edge


def test_size_is_height_then_width() -> None:
    tall = np.zeros((40, 20), dtype=np.uint8)
    tall[:20] = 255
    pixels = decode(encoded(Image.fromarray(tall), "PNG"), (20, 10), 1)[0]
    assert (pixels[:9] > 250).all() and (pixels[11:] < 5).all()


def test_crop_comes_before_the_resize() -> None:
    framed = np.zeros((20, 30), dtype=np.uint8)
    framed[5:15, 10:20] = 255
    raw = encoded(Image.fromarray(framed), "PNG")
    assert colour(decode(raw, (4, 4), 1, crop=10)) == [255]
    assert decode(raw, (4, 4), 1)[0].min() < 5


def test_crop_larger_than_the_picture_adds_nothing() -> None:
    raw = encoded(Image.new("L", (6, 10), 255), "PNG")
    assert colour(decode(raw, (4, 4), 1, crop=100)) == [255]


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("P", (8, 8), i) for i in (0, 1)]
    for frame in frames:
        frame.putpalette([200, 0, 0, 0, 200, 0])
    raw = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert colour(decode(raw, (8, 8), 3)) == [200, 0, 0]


def test_a_camera_s_previews_are_no_animation() -> None:
    """Some cameras store a picture and smaller ones of it in one file (MPO)."""
    sizes = ((200, 0, 0), (16, 8)), ((0, 200, 0), (4, 2))
    first, preview = (Image.new("RGB", size, rgb) for rgb, size in sizes)
    raw = encoded(first, "MPO", save_all=True, append_images=[preview])
    assert Image.open(BytesIO(raw)).n_frames == 2  # type: ignore[attr-defined]
    assert whole(raw, 3).shape == (3, 8, 16)


def failure(raw: bytes) -> str:
    with pytest.raises(Exception) as caught:
        decode(raw, (8, 8), 3)
    return reason(caught.value)


def test_broken_pictures_fail_with_a_short_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    jpeg = encoded(Image.fromarray(noise), "JPEG")
    assert "truncated" in failure(jpeg[: len(jpeg) // 2])
    assert failure(b"not a picture") == failure(b"") == "not an image that Pillow can read"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "decompression bomb" in failure(jpeg)
