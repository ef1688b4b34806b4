"""Simulated scans whose truth is known: spine, abdomen, head, knee, pelvis and lung nodules, seeded and without any patient."""

from voxloom.phantom.case import KnownPoint, PhantomCase
from voxloom.phantom.kinds import KINDS, make_phantom
from voxloom.phantom.write import write_phantoms

__all__ = ["KINDS", "KnownPoint", "PhantomCase", "make_phantom", "write_phantoms"]
