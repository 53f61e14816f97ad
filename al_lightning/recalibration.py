"""BatchNorm's statistics for the weights that a fit ended with."""

import pytorch_lightning as pl
from torch.optim.swa_utils import update_bn

from al_lightning.data.datamodule import PoolDataModule
from al_lightning.model import Classifier


class Recalibration(pl.Callback):
    """Takes BatchNorm's statistics anew after the last step, over the labeled images without augmentation.

    The running averages that training leaves are of its last batches, whatever those did to the weights.

    Args:
        pool: whose labeled images are looked at.
    """

    def __init__(self, pool: PoolDataModule) -> None:
        self.pool = pool

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Recalibrate after the last step; before anything is scored."""
        if trainer.current_epoch + 1 != trainer.max_epochs:
            return
        assert isinstance(pl_module, Classifier)
        pl_module.train()
        update_bn((pl_module.normalized(images) for images, _ in self.pool.labeled_batches()), pl_module.backbone)
