import pytest
import torch
from monai.networks.nets import BasicUNet

from segexp.inference import SlicePredictor, TiledPredictor, to_size
from segexp.inference.slices import with_neighbors


def test_neighbors_in_the_order_of_the_channels_ends_repeated():
    volume = torch.arange(2 * 4).view(2, 4, 1, 1).float()  # channel 0 holds slices 0-3, channel 1 slices 4-7
    stacked = with_neighbors(volume, torch.tensor([0, 2]), context=1)
    assert stacked[:, :, 0, 0].tolist() == [[0, 0, 1, 4, 4, 5], [1, 2, 3, 5, 6, 7]]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_volume_is_predicted_as_its_slices_would_be_alone(batch_size):
    torch.manual_seed(0)
    network = BasicUNet(spatial_dims=2, in_channels=2, out_channels=3, features=(4, 4, 8, 8, 8, 4)).eval()
    predictor = TiledPredictor(tile=(32, 32))
    volume = torch.randn(2, 2, 5, 40, 36)
    with torch.no_grad():
        probs = SlicePredictor(predictor, batch_size=batch_size)(network, volume)
        assert probs.shape == (2, 3, 5, 40, 36)
        torch.testing.assert_close(probs[1, :, 3], predictor(network, volume[1:, :, 3])[0])
        torch.testing.assert_close(SlicePredictor(predictor)(network, volume[:, :, 0]), probs[:, :, 0])


def test_probabilities_come_back_to_the_size_of_the_case():
    probs = torch.rand(1, 2, 4, 6)
    assert to_size(probs, (4, 6)) is probs
    up = to_size(probs, (8, 6))
    torch.testing.assert_close(up[:, :, 1], 0.75 * probs[:, :, 0] + 0.25 * probs[:, :, 1])


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="context=-1"):
        SlicePredictor(TiledPredictor(), context=-1)
