"""Squares where they belong, and masks as people draw them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coopnets.complete.damaged import Damaged, open_damaged
from coopnets.complete.masks import center_square, check_mask, open_masks, random_square
from coopnets.errors import CoopNetsError, DataError

SIDE = 16


def picture(name: str = "cats/tom.jpg", extent: tuple[int, int] = (16, 16)) -> Damaged:
    return Damaged(name, np.zeros((1, SIDE, SIDE), np.uint8), extent, None)


def drawn(height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """A hand-drawn stroke, not a square."""
    hidden = np.zeros((height, width), bool)
    rows, columns = np.indices(hidden.shape)
    hidden[abs(rows / height - columns / width) < 0.15] = True
    return hidden


def mask_of(file: Path, of: Damaged | None = None, **more: object) -> np.ndarray:
    settings = {"crop": None, "seed": 0, "invert": False, **more}
    found = open_masks(str(file), SIDE, **settings)(0, of or picture())  # type: ignore[arg-type]
    assert found.shape == (1, SIDE, SIDE) and found.dtype == torch.bool
    return found[0].numpy()


def test_center_square_is_in_the_middle() -> None:
    mask = center_square(6, 16)[0]
    assert mask.sum() == 36 and mask[5:11, 5:11].all()
    assert center_square(5, 16).sum() == 25


def test_random_squares_are_whole_and_everywhere_alike() -> None:
    """Each of the 9 x 9 places of a square of 8 in 16, by a chi-squared test at 1 in 10,000."""
    counts = np.zeros((9, 9))
    for i in range(2025):
        mask = random_square(8, 16, 0, i)[0]
        rows, columns = (mask.any(axis).nonzero().flatten() for axis in (1, 0))
        assert mask.sum() == 64 and len(rows) == len(columns) == 8
        counts[rows[0], columns[0]] += 1
    assert ((counts - 25) ** 2 / 25).sum() < 134.9  # 80 degrees of freedom


def test_random_square_depends_on_seed_side_and_number_alone() -> None:
    assert torch.equal(random_square(5, 32, 1, 7), random_square(5, 32, 1, 7))
    others = [random_square(5, 32, 1, i) for i in range(20)]
    assert len({tuple(m.flatten().tolist()) for m in others}) > 15
    assert not torch.equal(random_square(5, 32, 1, 7), random_square(5, 32, 2, 7))


@pytest.mark.parametrize("spec", ["random:6", "center:6"])
def test_squares_by_name(spec: str) -> None:
    source = open_masks(spec, SIDE, None, seed=3, invert=False)
    expected = {"random:6": random_square(6, SIDE, 3, 11), "center:6": center_square(6, SIDE)}
    assert torch.equal(source(11, picture()), expected[spec])


@pytest.mark.parametrize("spec", ["random", "center:", "random:x", "center:-3", "random:0",
                                  "center:16", "random:17", "absent.png"])  # fmt: skip
def test_impossible_masks(spec: str) -> None:
    with pytest.raises(CoopNetsError, match=r"side|neither|square") as told:
        open_masks(spec, SIDE, None, seed=0, invert=False)
    assert "\n" not in str(told.value)


def save(kind: str, file: Path) -> np.ndarray:
    """The stroke, in every way that people save masks."""
    hidden = drawn()
    white = (255 * hidden).astype(np.uint8)
    alpha = np.zeros((SIDE, SIDE, 4), np.uint8)
    alpha[..., 3] = 255 - white
    alpha[..., :3] = 200  # a light picture, erased where it is missing
    images = {
        "8-bit": white,
        "rgb": np.stack([white] * 3, -1),
        "zeros-and-ones": hidden.astype(np.uint8),
        "16-bit": 257 * white.astype(np.uint16),
        "soft": np.clip(white * 0.7 + 30, 0, 255).astype(np.uint8),
        "alpha": alpha,
        "opaque": np.dstack([white, white, white, np.full_like(white, 255)]),
        "bilevel": hidden,
        "float": hidden.astype(np.float32),
    }
    image = Image.fromarray(images[kind])
    image.save(file.with_suffix(".tif" if kind == "float" else ".png"))
    return hidden


@pytest.mark.parametrize("kind", ["8-bit", "rgb", "zeros-and-ones", "16-bit", "soft", "alpha",
                                  "opaque", "bilevel", "float"])  # fmt: skip
def test_masks_as_people_save_them(kind: str, tmp_path: Path) -> None:
    hidden = save(kind, tmp_path / "mask")
    assert np.array_equal(mask_of(next(tmp_path.iterdir())), hidden)


def test_palette_and_jpeg(tmp_path: Path) -> None:
    white = Image.fromarray((255 * drawn()).astype(np.uint8))
    white.convert("P").save(tmp_path / "palette.png")
    assert np.array_equal(mask_of(tmp_path / "palette.png"), drawn())
    white.save(tmp_path / "mask.jpg", quality=95)
    assert np.array_equal(mask_of(tmp_path / "mask.jpg"), drawn())


def test_inverted_mask(tmp_path: Path) -> None:
    Image.fromarray((255 * ~drawn()).astype(np.uint8)).save(tmp_path / "m.png")
    assert np.array_equal(mask_of(tmp_path / "m.png", invert=True), drawn())


def test_mask_as_large_as_its_picture_goes_the_pictures_way(tmp_path: Path) -> None:
    """48x64, of which the centre is cropped: the hole lands where the picture's own pixels do."""
    hidden = np.zeros((48, 64), bool)
    hidden[12:24, 8 + 24 : 8 + 36] = True
    Image.fromarray((255 * hidden).astype(np.uint8)).save(tmp_path / "m.png")
    found = mask_of(tmp_path / "m.png", picture(extent=(48, 64)))
    assert found[4:8, 8:12].all()  # all of it, and no more than bicubic filters reach
    grown = np.zeros_like(found)
    grown[2:10, 6:14] = True
    assert not (found & ~grown).any()
    cropped = mask_of(tmp_path / "m.png", picture(extent=(48, 64)), crop=32)
    assert cropped[2:8, 8:14].all() and not cropped[10:].any()


def test_mask_of_a_picture_that_has_the_models_size_before_its_crop(tmp_path: Path) -> None:
    hidden = np.zeros((SIDE, SIDE), bool)
    hidden[4:6, 4:6] = True  # a corner of the crop's middle half
    Image.fromarray((255 * hidden).astype(np.uint8)).save(tmp_path / "m.png")
    found = mask_of(tmp_path / "m.png", picture(extent=(SIDE, SIDE)), crop=SIDE // 2)
    assert found[:3, :3].all() and not found[8:].any()


def test_no_hidden_pixel_of_the_original_is_seen(tmp_path: Path) -> None:
    """A picture that is garbage under the mask decodes to the same visible pixels without it."""
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, (70, 70), np.uint8)
    hidden = drawn(70, 70)
    Image.fromarray((255 * hidden).astype(np.uint8)).save(tmp_path / "m.png")
    made = []
    for name, damage in (("a", clean), ("b", np.where(hidden, 255 - clean, clean))):
        Image.fromarray(damage.astype(np.uint8)).save(tmp_path / f"{name}.bmp")
        opened = open_damaged(str(tmp_path / f"{name}.bmp"), size=SIDE, channels=1, crop=None)
        made.append(next(opened))
    mask = mask_of(tmp_path / "m.png", made[0])
    assert made[0].extent == (70, 70) and not mask.all()
    off = np.abs(made[0].pixels.astype(int) - made[1].pixels)[0]
    assert off[mask].max() > 50 and off[~mask].max() <= 255 * 0.02


def test_mask_of_another_size(tmp_path: Path) -> None:
    Image.fromarray((255 * drawn(20, 30)).astype(np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(CoopNetsError, match=r"30x20 pixels: make it 16x16 .* or 64x48"):
        mask_of(tmp_path / "m.png", picture(extent=(48, 64)))


@pytest.mark.parametrize(("value", "says"), [(0, "hides nothing"), (255, "hides all")])
def test_masks_without_a_hole_or_without_a_picture(value: int, says: str, tmp_path: Path) -> None:
    Image.fromarray(np.full((SIDE, SIDE), value, np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(CoopNetsError, match=f"m.png {says} of cats/tom.jpg"):
        mask_of(tmp_path / "m.png")


def test_unreadable_mask(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"no picture")
    with pytest.raises(CoopNetsError, match=r"cannot read the mask .*m\.png"):
        mask_of(tmp_path / "m.png")


def test_folder_of_masks_goes_by_name(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    Image.fromarray((255 * drawn()).astype(np.uint8)).save(tmp_path / "cats" / "tom.png")
    square = 255 * center_square(4, SIDE)[0].numpy().astype(np.uint8)
    Image.fromarray(square).save(tmp_path / "felix.bmp")
    assert np.array_equal(mask_of(tmp_path), drawn())
    assert mask_of(tmp_path, picture("cats/felix.jpg")).sum() == 16
    Image.fromarray((255 * drawn()).astype(np.uint8)).save(tmp_path / "felix.png")
    with pytest.raises(CoopNetsError, match=r"felix.bmp and felix.png are both masks"):
        mask_of(tmp_path, picture("felix.jpg"))
    assert mask_of(tmp_path, picture("felix.bmp")).sum() == 16
    with pytest.raises(CoopNetsError, match=r"no mask for sylvester.jpg.*sylvester.png"):
        mask_of(tmp_path, picture("sylvester.jpg"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CoopNetsError, match="no pictures"):
        mask_of(tmp_path / "empty")


def test_transparent_parts_of_a_picture_are_known_to_be_unknown(tmp_path: Path) -> None:
    colours = np.full((SIDE, SIDE, 4), 90, np.uint8)
    colours[..., 3] = np.where(drawn(), 0, 255)
    Image.fromarray(colours).save(tmp_path / "erased.png")
    found = next(open_damaged(str(tmp_path / "erased.png"), size=SIDE, channels=3, crop=None))
    assert found.holes is not None and np.array_equal(found.holes, drawn())
    assert np.array_equal(mask_of(tmp_path / "erased.png", found), drawn())
    colours[..., 3] = np.where(drawn(), 25, 255)  # nine tenths erased are erased
    Image.fromarray(colours).save(tmp_path / "erased.png")
    found = next(open_damaged(str(tmp_path / "erased.png"), size=SIDE, channels=3, crop=None))
    assert found.holes is not None and np.array_equal(found.holes, drawn())


def test_unusable_names_of_masks() -> None:
    for spec in ("~nobody-of-that-name/m.png", 300 * "m" + ".png"):
        with pytest.raises(CoopNetsError, match="--mask"):
            open_masks(spec, SIDE, None, seed=0, invert=False)


def test_a_data_set_that_cannot_be_opened_is_not_replaced_by_its_training_part(
    tmp_path: Path,
) -> None:
    images = np.zeros((4, SIDE, SIDE), np.uint8)
    np.savez(tmp_path / "x.npz", x_train=images, x_test=images.astype(np.int64) - 9000)
    with pytest.raises(DataError):
        list(open_damaged(str(tmp_path / "x.npz"), size=SIDE, channels=1, crop=None))


def test_pictures_of_any_mode_come_as_the_model_takes_them(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20))
    for mode, suffix in (("L", "png"), ("RGB", "jpg"), ("CMYK", "tif"), ("P", "gif")):
        image.convert(mode).save(tmp_path / f"{mode}.{suffix}")
    (tmp_path / "broken.png").write_bytes(b"")
    said: list[str] = []
    for channels in (1, 3):
        found = list(open_damaged(str(tmp_path), size=8, channels=channels, crop=None,
                                  say=said.append))  # fmt: skip
        assert [p.name for p in found] == ["CMYK.tif", "L.png", "P.gif", "RGB.jpg"]
        assert all(p.pixels.shape == (channels, 8, 8) for p in found)
    assert len(said) == 2 and "broken.png" in said[0]


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot read broken\.png"):
        list(open_damaged(str(tmp_path), size=8, channels=1, crop=None, say=lambda _: None))


def test_checked_mask_has_a_row_for_each_image() -> None:
    x = torch.zeros(3, 2, 4, 4)
    for mask in (center_square(2, 4), center_square(2, 4)[0], center_square(2, 4)[None].int()):
        found = check_mask(x, mask)
        assert found.dtype == torch.bool and found.shape == (3, 1, 4, 4)
        assert torch.equal(found.expand(x.shape)[1, 1], center_square(2, 4)[0])
