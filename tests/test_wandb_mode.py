"""Online or offline, and what W&B is shown as pictures."""

import os
import subprocess
import sys

import numpy as np
import pytest

from al_lightning.tracking import pictures, wandb_account
from al_lightning.tracking.pictures import draw_confusion
from al_lightning.tracking.wandb_account import resolve_mode

pytestmark = pytest.mark.usefixtures("no_account")


@pytest.mark.parametrize(
    ("env", "configured", "has_key", "mode"),
    [
        (None, None, False, "offline"),
        (None, None, True, "online"),
        (None, "offline", True, "offline"),
        (None, "disabled", True, "disabled"),
        ("", None, True, "online"),
        ("offline", "online", True, "offline"),
        ("online", "offline", False, "online"),
        ("disabled", "online", True, "disabled"),
        ("dryrun", None, True, "offline"),
    ],
)
def test_mode(monkeypatch, env, configured, has_key, mode):
    if env is not None:
        monkeypatch.setenv("WANDB_MODE", env)
    monkeypatch.setattr(wandb_account, "logged_in", lambda: has_key)
    assert resolve_mode(configured) == mode


def test_unknown_mode(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(ValueError, match=r"'ofline'; allowed: online, offline, disabled"):
        resolve_mode(None)


def test_key_is_found_without_a_word(tmp_path):
    script = (
        "import os; from al_lightning.tracking.wandb_account import resolve_mode as mode; first = mode(None);"
        "os.environ['WANDB_API_KEY'] = 'a' * 40; print(first, mode(None))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    environment |= {"HOME": str(tmp_path), "WANDB_CONFIG_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("offline online\n", "")


@pytest.mark.parametrize("n_classes", [2, 10, 30, 600])
def test_confusion_shows_true_classes_as_rows(n_classes):
    confusion = np.eye(n_classes, dtype=np.int64)
    confusion[1] = 0
    confusion[1, 0] = 9  # all of class 1 is taken for class 0
    picture = draw_confusion(confusion, [f"class {i}" for i in range(n_classes)], "title")
    cell = max(1, pictures.SIDE // n_classes)
    corner = [pictures.MARGIN + 1, 41] if cell > 2 else [pictures.MARGIN, 40]
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1), (n_classes - 1, 0)):
        color = picture.getpixel((corner[0] + column * cell, corner[1] + row * cell))
        assert color == tuple(pictures.MOST if confusion[row, column] else pictures.LEAST)
