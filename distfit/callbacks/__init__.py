"""Callbacks: hooks into training, evaluation and prediction that say on which ranks they run."""

from distfit.callbacks.backup_and_restore import BackupAndRestore
from distfit.callbacks.callback import Callback, Logs, Ranks
from distfit.callbacks.callback_list import CallbackList
from distfit.callbacks.csv_logger import CSVLogger
from distfit.callbacks.dispatch.aggregate import Weighted
from distfit.callbacks.dispatch.placement import on_all, on_local_root, on_root
from distfit.callbacks.early_stopping import EarlyStopping
from distfit.callbacks.history import History
from distfit.callbacks.json_logger import JSONLogger
from distfit.callbacks.lambda_callback import LambdaCallback
from distfit.callbacks.learning_rate_scheduler import LearningRateScheduler
from distfit.callbacks.learning_rate_warmup import LearningRateWarmup
from distfit.callbacks.model_checkpoint import ModelCheckpoint
from distfit.callbacks.progbar_logger import ProgbarLogger
from distfit.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from distfit.callbacks.remote_monitor import RemoteMonitor
from distfit.callbacks.swap_ema_weights import SwapEMAWeights
from distfit.callbacks.tensorboard import TensorBoard
from distfit.callbacks.terminate_on_nan import TerminateOnNaN
from distfit.callbacks.time_limit import TimeLimit

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "JSONLogger",
    "LambdaCallback",
    "LearningRateScheduler",
    "LearningRateWarmup",
    "Logs",
    "ModelCheckpoint",
    "ProgbarLogger",
    "Ranks",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "TimeLimit",
    "Weighted",
    "on_all",
    "on_local_root",
    "on_root",
]
