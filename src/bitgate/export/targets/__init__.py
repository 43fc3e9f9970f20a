"""Where an exported program can be verified: processors, how to build for them and what runs the result."""

from bitgate.export.targets.execution import Execution, execute
from bitgate.export.targets.image import Image, build_image
from bitgate.export.targets.target import TARGETS, Target, find_target

__all__ = ["TARGETS", "Execution", "Image", "Target", "build_image", "execute", "find_target"]
