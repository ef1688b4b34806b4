"""MONAI Label's REST interface on Voxloom's service, so that the plug-ins of 3D Slicer and OHIF work unchanged.

Runs are its models, cases of the store and series of a PACS its images, drawings its labels. Shapes of requests and answers are
those of MONAI Label 0.8; its code is not used.
"""

from voxloom.serve.http.monailabel.desk import Desk
from voxloom.serve.http.monailabel.part import monailabel_part

__all__ = ["Desk", "monailabel_part"]
