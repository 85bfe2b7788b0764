"""Pictures from a name, folder, zip, Parquet, array or the hub, as memory-mapped uint8."""

from coopnets.data.images import ImageData, open_images
from coopnets.data.order import batch_indices
from coopnets.data.pixels import to_pixels, to_unit

__all__ = ["ImageData", "batch_indices", "open_images", "to_pixels", "to_unit"]
