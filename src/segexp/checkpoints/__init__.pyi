from .checkpoint import Model as Model
from .checkpoint import open_model as open_model
