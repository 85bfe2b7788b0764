"""Pictures from a name, folder, zip, Parquet, array or the hub, as memory-mapped uint8; clips."""

from coopnets.data.clips import ClipData, open_clips
from coopnets.data.images import ImageData, open_images
from coopnets.data.order import batch_indices, mirrored
from coopnets.data.pixels import to_pixels, to_unit
from coopnets.data.windows import WindowData, open_windows

Observed = ImageData | WindowData | ClipData
"""What can be trained on: whole pictures, windows of pictures, or clips."""

__all__ = [
    "ClipData",
    "ImageData",
    "Observed",
    "WindowData",
    "batch_indices",
    "mirrored",
    "open_clips",
    "open_images",
    "open_windows",
    "to_pixels",
    "to_unit",
]
