"""Landmarks as values: named points in RAS millimetres, and the files they travel in. Never imports torch."""

from voxloom.points.files import POINT_ENDINGS, point_ending, read_points, write_points
from voxloom.points.labelmap import fiducial_map, label_centroids, points_of_map, read_label_names, write_fiducial_map
from voxloom.points.point import Key, Point, centers, marks_by_key, side_of
from voxloom.points.slicer import read_fcsv, read_markups, write_markups
from voxloom.points.table import read_point_table, write_point_table

__all__ = [
    "POINT_ENDINGS",
    "Key",
    "Point",
    "centers",
    "fiducial_map",
    "label_centroids",
    "marks_by_key",
    "point_ending",
    "points_of_map",
    "read_fcsv",
    "read_label_names",
    "read_markups",
    "read_point_table",
    "read_points",
    "side_of",
    "write_fiducial_map",
    "write_markups",
    "write_point_table",
    "write_points",
]
