from .adopt import Adopted as Adopted
from .adopt import adopt as adopt
