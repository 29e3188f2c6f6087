"""The window of napari in which cases are looked through."""

from importlib.util import find_spec
from typing import Any

from segexp.viewers.gallery import Gallery
from segexp.viewers.layers import layers_of

MISSING = "napari is not installed: pip install 'segexp[view]'"


def require_installed() -> None:
    """Refuse to go on without napari, which is not imported yet.

    Raises:
        ImportError: It is not there; says how to install it.
    """
    if find_spec("napari") is None:
        raise ImportError(MISSING)


def require_napari() -> Any:
    """Import napari.

    Raises:
        ImportError: It is not there; says how to install it.
    """
    try:
        import napari
    except ImportError as error:
        raise ImportError(MISSING) from error
    return napari


def open_window(gallery: Gallery, show: bool = True) -> Any:
    """Open a window with the first case and, of several, a list to choose another one from.

    Args:
        gallery: Cases.
        show: Whether the window is shown.

    Returns:
        ``napari.Viewer``; ``napari.run()`` waits until it is closed.

    Raises:
        ImportError: napari is not there.
        ValueError: The first case cannot be read.
    """
    napari = require_napari()
    viewer = napari.Viewer(title=f"segexp: {gallery.title}", show=show)
    show_case(viewer, gallery, gallery.names[0])
    if len(gallery.names) > 1:
        from magicgui.widgets import ComboBox

        box = ComboBox(name="case", choices=gallery.names, value=gallery.names[0])
        box.changed.connect(lambda name: show_case(viewer, gallery, name))
        viewer.window.add_dock_widget(box, name="case", area="right")
    return viewer


def show_case(viewer: Any, gallery: Gallery, name: str) -> None:
    """Replace the layers of a window by those of a case; which of them are visible stays."""
    from napari.layers import Layer

    view = gallery.load(name)
    visible = {layer.name: layer.visible for layer in viewer.layers}
    viewer.layers.clear()
    for data, arguments, kind in layers_of(view):
        shown = {"visible": visible.get(arguments["name"], arguments.get("visible", True))}
        viewer.add_layer(Layer.create(data, arguments | shown, kind))
    if view.image.ndim == 4:  # superior and anterior upwards
        viewer.camera.orientation2d = ("up", "right")
    viewer.layers.selection.active = next(layer for layer in viewer.layers if layer.name.startswith("prediction"))
    viewer.scale_bar.visible = True
    viewer.text_overlay.text = view.title
    viewer.text_overlay.visible = True
    viewer.reset_view()
