import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from segexp.training.loggers import END, START, TensorBoard, log_end, show

LAYOUT = {"loss": {"loss": ["Multiline", ["^train/loss$"]]}}


def events(folder):
    found = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    found.Reload()
    return found


def test_what_is_written_at_the_start_is_replaced_by_the_next_start(tmp_path):
    for text in ("first", "second"):
        logger = TensorBoard(str(tmp_path))
        logger.log_start({"configuration": text}, LAYOUT)
        logger.finalize("success")
    assert [path.name for path in tmp_path.glob("*.start")] == [START]
    (tensor,) = events(tmp_path).Tensors("configuration/text_summary")
    assert tensor.tensor_proto.string_val[0] == b"second"


def test_the_end_has_metrics_and_hyperparameters_and_a_new_start_removes_it(tmp_path):
    logger = TensorBoard(str(tmp_path))
    log_end(logger, {"loss": "ce", "ema": True, "lr": 0.5}, {"final/test_dice": 0.75}, step=7)
    found = events(tmp_path)
    (point,) = found.Scalars("final/test_dice")
    assert (point.step, point.value) == (7, 0.75)
    start = found.PluginTagToContent("hparams")[metadata.SESSION_START_INFO_TAG]
    params = metadata.parse_session_start_info_plugin_data(start).hparams
    assert (params["loss"].string_value, params["ema"].string_value, params["lr"].number_value) == ("ce", "true", 0.5)
    assert metadata.EXPERIMENT_TAG not in found.PluginTagToContent("hparams")
    TensorBoard(str(tmp_path)).log_start({}, LAYOUT)
    assert not list(tmp_path.glob(f"*.{END}"))


def test_a_precision_recall_curve_is_kept_as_it_is_given(tmp_path):
    logger = TensorBoard(str(tmp_path))
    curve = tuple(np.linspace(row, row + 1, 5) for row in range(6))
    logger.log_pr_curve("val/object", curve, 3)
    log_end(logger, {}, {}, 3)
    (tensor,) = events(tmp_path).Tensors("val/object")
    assert tensor.step == 3
    np.testing.assert_allclose(np.reshape(tensor.tensor_proto.float_val, (6, 5)), curve, rtol=1e-6)


def test_the_number_of_the_epoch_is_no_curve_and_pictures_are_shown(tmp_path):
    logger = TensorBoard(str(tmp_path))
    logger.log_metrics({"val/dice": 0.5, "epoch": 1}, step=2)
    show(logger, "val/case", np.zeros((4, 5, 3), np.uint8), step=2)
    logger.finalize("success")
    found = events(tmp_path)
    assert found.Tags()["scalars"] == ["val/dice"]
    (picture,) = found.Images("val/case")
    assert (picture.width, picture.height) == (5, 4)


def test_other_loggers_get_hyperparameters_and_metrics_and_are_finished():
    calls = []

    class Other:
        def __init__(self):
            self.experiment = self

        def log_hyperparams(self, params):
            calls.append(params)

        def log_metrics(self, metrics, step):
            calls.append((metrics, step))

        def finalize(self, status):
            calls.append(status)

        def finish(self):
            calls.append("finished")

    log_end(Other(), {"loss": "ce"}, {"final/val_dice": 1.0}, step=4)
    assert calls == [{"loss": "ce"}, ({"final/val_dice": 1.0}, 4), "success", "finished"]
