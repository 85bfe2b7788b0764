"""One picture, in whatever form it comes, to one uint8 array of the wanted size."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Raw = bytes | Image.Image | np.ndarray
"""An encoded file, an opened picture, or uint8 pixels of shape (H, W) or (H, W, C)."""

WITH_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}


def decode(raw: Raw, size: tuple[int, int], channels: int, crop: int | None = None) -> np.ndarray:
    """Decodes, turns upright, flattens, crops and resizes one picture.

    The picture is scaled with antialiasing until its shorter side fits and its centre is cut
    out, so shapes are never distorted. Transparency is laid on white. Of an animation the first
    frame is taken. Colour profiles are ignored.

    Args:
        raw: The picture.
        size: (height, width) of the result.
        channels: 1 for grey (ITU-R 601 luma) or 3 for RGB.
        crop: Side of a centred square cut out before the resize; a picture with a shorter side
            gives its own largest centred square instead, as nothing is made up beyond its edge.

    Returns:
        uint8 of shape (channels, height, width).

    Raises:
        Exception: Whatever Pillow raises for a broken picture; `reason` words it.
    """
    return _planes(fitted(_flat(upright(raw), _mode(channels)), size, crop))


def whole(raw: Raw, channels: int) -> np.ndarray:
    """Decodes one still picture, turns it upright and flattens it, at its own size.

    Args:
        raw: The picture.
        channels: 1 for grey (ITU-R 601 luma) or 3 for RGB.

    Returns:
        uint8 of shape (channels, H, W).

    Raises:
        ValueError: If it is an animation.
        Exception: Whatever Pillow raises for a broken picture; `reason` words it.
    """
    opened = _opened(raw)
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format != "MPO":  # of a camera: a picture, then its previews
        raise ValueError(f"an animation of {frames} frames, where a still picture is wanted")
    return _planes(_flat(upright(opened), _mode(channels)))


def reason(error: Exception) -> str:
    """Says in a few words, on one line, why a picture could not be decoded."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow can read"
    if isinstance(error, Image.DecompressionBombError):
        return "too many pixels (decompression bomb)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def upright(raw: Raw) -> Image.Image:
    """Opens a picture and turns it as its EXIF orientation says."""
    return ImageOps.exif_transpose(_opened(raw))


def transparency(image: Image.Image) -> np.ndarray | None:
    """The alpha channel, uint8 of shape (H, W), 0 where transparent; None if there is none."""
    if image.mode not in WITH_ALPHA and "transparency" not in image.info:
        return None
    if image.mode == "La":  # Pillow knows no direct way from premultiplied grey to RGBA
        image = image.convert("LA")
    return np.asarray(image.convert("RGBA").getchannel("A"))


def fitted(image: Image.Image, size: tuple[int, int], crop: int | None) -> Image.Image:
    """Resizes the largest centred box that has the wanted proportions."""
    height, width = size
    if crop is not None:
        side = min(crop, *image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    scale = min(image.width / width, image.height / height)
    box_w, box_h = min(scale * width, image.width), min(scale * height, image.height)
    x, y = (image.width - box_w) / 2, (image.height - box_h) / 2
    # Pillow's bicubic filter widens with the reduction, so fine detail averages out.
    resample = Image.Resampling.BICUBIC
    return image.resize((width, height), resample, box=(x, y, x + box_w, y + box_h))


def _mode(channels: int) -> str:
    return "L" if channels == 1 else "RGB"


def _planes(image: Image.Image) -> np.ndarray:
    """uint8 (C, H, W) of a picture in mode L or RGB."""
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _opened(raw: Raw) -> Image.Image:
    if isinstance(raw, Image.Image):
        return raw
    if isinstance(raw, np.ndarray):
        if raw.ndim == 3 and raw.shape[2] == 1:
            raw = raw[:, :, 0]
        return Image.fromarray(np.ascontiguousarray(raw))
    return Image.open(BytesIO(raw))


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """Converts any mode to L or RGB."""
    # Pillow converts deep grey to L by clipping at 255, which turns a 16-bit photograph white.
    if image.mode.startswith("I"):
        image = Image.fromarray(_from_16_bit(np.asarray(image)))
    elif image.mode == "F":
        image = Image.fromarray(_from_float(np.asarray(image)))
    elif image.mode in WITH_ALPHA or "transparency" in image.info:
        if image.mode == "La":  # Pillow knows no direct way from premultiplied grey to RGBA
            image = image.convert("LA")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == mode else image.convert(mode)


def _from_16_bit(grey: np.ndarray) -> np.ndarray:
    """Scales grey in 0..65535 to 0..255 by 1/257, the exact ratio of the two ranges.

    Modes I;16 and I are both read so: Pillow opens a 16-bit file as either. A 32-bit image
    that leaves the range has no known white, so it is refused rather than clipped or stretched.
    """
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError(f"32-bit grey in {grey.min()}..{grey.max()}, expected 0..65535")
    return ((grey.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_float(grey: np.ndarray) -> np.ndarray:
    """Scales floating-point grey in [0, 1] to 0..255; any other range is refused."""
    if not (grey.min() >= 0 and grey.max() <= 1):
        raise ValueError(f"float grey in [{grey.min():g}, {grey.max():g}], expected [0, 1]")
    pixels: np.ndarray = np.rint(grey * 255).astype(np.uint8)
    return pixels
