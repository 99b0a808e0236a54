"""Pictures of maps, boxes and mixed batches."""

from .browse import browse_mix
from .padding import measure_padding
from .released_map import measure_released_code_map, show_released_code_map
from .sheet import draw_mix_sheet
from .training_data import training_pictures

__all__ = [
    "browse_mix",
    "draw_mix_sheet",
    "measure_padding",
    "measure_released_code_map",
    "show_released_code_map",
    "training_pictures",
]
