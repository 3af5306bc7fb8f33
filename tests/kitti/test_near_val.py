"""Testing frames that look like a val frame teach nothing."""

from pathlib import Path

import cv2
import numpy as np

from monokd.kitti.near_val import write_near_val
from monokd.kitti.splits import unlabelled_frames


def write_images(folder: Path, images: list["np.ndarray[tuple[int, ...], np.dtype[np.uint8]]"]) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number:06d}.png"), image)


def test_frames_that_look_like_a_val_frame_are_listed_and_left_out(tmp_path: Path) -> None:
    """A brighter, slightly moved copy is found; a copy of a train frame and other pictures are not."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(20, 200, (5, 6, 20)).astype(np.uint8)
    train, val, *others = [
        cv2.resize(c, (248, 75), interpolation=cv2.INTER_CUBIC)[..., None].repeat(3, 2) for c in coarse
    ]
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets/val.txt").write_text("000001\n")
    write_images(tmp_path / "training/image_2", [train, val])
    brighter = np.roll(val, 2, axis=1) // 2 + 60
    write_images(tmp_path / "testing/image_2", [others[0], brighter, train, *others[1:]])
    assert write_near_val(tmp_path, workers=1) == ["000001"]
    assert (tmp_path / "ImageSets/near_val.txt").read_text() == "000001\n"
    _, frames = unlabelled_frames("test", root=tmp_path, raw=tmp_path)
    assert frames == ["000000", "000002", "000003", "000004"]
    cv2.imwrite(str(tmp_path / "testing/image_2/000001.png"), others[0])
    assert write_near_val(tmp_path, workers=1) == []
    assert len(unlabelled_frames("test", root=tmp_path, raw=tmp_path)[1]) == 5


def test_frames_of_one_drive_are_alike_and_others_are_not(kitti_dir: Path, kitti_raw_dir: Path, tmp_path: Path) -> None:
    """Real frames, 0.7 s apart: of three the last, next to the one in val; of frames from anywhere none."""
    drive = sorted(kitti_raw_dir.glob("*/*/image_02/data/*.png"))
    objects = sorted((kitti_dir / "training/image_2").glob("*.png"))
    for half, images in (("testing", [*drive[:3], *objects[:8]]), ("training", [drive[3], *objects[8:20]])):
        (tmp_path / half / "image_2").mkdir(parents=True)
        for number, image in enumerate(images):
            (tmp_path / half / f"image_2/{number:06d}.png").symlink_to(image)
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets/val.txt").write_text("".join(f"{i:06d}\n" for i in range(13)))
    assert write_near_val(tmp_path, workers=1) == ["000002"]
