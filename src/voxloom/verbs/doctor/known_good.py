"""Versions that were tested together, of the packages whose versions can change a result or stop a training.

A test keeps them equal to ``constraints.txt``, which a wheel does not carry.
"""

from __future__ import annotations

#: Package -> version.
KNOWN_GOOD = {
    "blosc2": "4.14.1",
    "connected-components-3d": "4.1.1",
    "duckdb": "2.0.0",
    "highdicom": "0.28.2",
    "huggingface-hub": "2.4.0",
    "lightning": "2.6.6",
    "monai": "1.6.1",
    "nibabel": "5.4.2",
    "numpy": "2.4.6",
    "pandas": "3.1.1",
    "pillow": "13.0.0",
    "pyarrow": "26.0.1",
    "pydantic": "2.14.3",
    "pydicom": "3.0.2",
    "python-gdcm": "3.2.6",
    "pylibjpeg": "2.1.0",
    "safetensors": "0.8.0",
    "scikit-learn": "1.9.1",
    "scipy": "1.17.1",
    "segmentation-models-pytorch": "0.6.0",
    "SimpleITK": "2.5.7",
    "statsmodels": "0.15.0",
    "timm": "1.0.31",
    "torch": "2.14.0",
    "torchio": "1.2.1",
    "torchvision": "0.29.0",
    "typer": "0.29.2",
}
