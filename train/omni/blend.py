"""Weighted mean of two exported checkpoints of one run: what a long stretch on one task gained, without all that others lost.

    python -m omni.blend OLDER NEWER SHARE_OF_NEWER OUT_DIR
"""

import shutil
import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file


def blend(older: Path, newer: Path, share: float, out: Path) -> None:
    """Writes `newer` with every weight moved towards `older`'s; both must come from one run, or the mean means nothing."""
    if not 0.0 <= share <= 1.0:
        raise SystemExit("the share of the newer checkpoint lies between 0 and 1")
    shutil.copytree(newer, out, dirs_exist_ok=True)
    name = "model.safetensors"
    a, b = load_file(older / name), load_file(newer / name)
    if a.keys() != b.keys():
        raise SystemExit("the checkpoints have different tensors: they are not of one run")
    mean = {key: (a[key].float() * (1 - share) + b[key].float() * share).to(b[key].dtype) for key in b}
    with safe_open(newer / name, "pt") as file:
        save_file(mean, out / name, metadata=file.metadata())


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    blend(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
