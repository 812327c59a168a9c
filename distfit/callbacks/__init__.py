"""Callbacks: hooks into training, evaluation and prediction that say on which ranks they run."""

from distfit.callbacks.callback import Callback, Logs, Ranks
from distfit.callbacks.callback_list import CallbackList
from distfit.callbacks.csv_logger import CSVLogger
from distfit.callbacks.early_stopping import EarlyStopping
from distfit.callbacks.history import History
from distfit.callbacks.lambda_callback import LambdaCallback
from distfit.callbacks.model_checkpoint import ModelCheckpoint
from distfit.callbacks.progbar_logger import ProgbarLogger

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "Logs",
    "ModelCheckpoint",
    "ProgbarLogger",
    "Ranks",
]
