"""Keras: .keras archives and HDF5 files of Keras 2 and 3, read and written with h5py and json alone."""

from __future__ import annotations
