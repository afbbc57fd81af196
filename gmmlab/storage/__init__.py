"""Fitted estimators in files, without pickle."""

from gmmlab.storage.files import load, save
from gmmlab.storage.stored import STORED

__all__ = ["STORED", "load", "save"]
