"""Parquet files of pictures with labels."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def write_parquet(file: Path, images: np.ndarray, labels: np.ndarray, name: str = "label") -> None:
    """Grey images (N, 1, H, W) in the Hugging Face layout."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    cells = []
    for image in images:
        stream = BytesIO()
        Image.fromarray(image[0]).save(stream, "PNG")
        cells.append({"bytes": stream.getvalue(), "path": None})
    parquet.write_table(pa.table({"image": cells, name: labels}), file)
