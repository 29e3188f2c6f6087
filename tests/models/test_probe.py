import torch
from torch import nn

from segexp.models.probe import bring_into_being, run_once, twin


def test_a_twin_of_shapes_takes_no_memory_and_one_of_numbers_shares_the_weights():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    shapes, numbers = twin(network, "meta"), twin(network, "cpu")
    assert {one.device.type for one in (*shapes.parameters(), *shapes.buffers())} == {"meta"}
    assert numbers[0].weight is network[0].weight
    assert numbers[1].running_mean is not network[1].running_mean
    assert (network.training, shapes.training, numbers.training) == (True, False, False)
    assert run_once(shapes, (1, 6, 6)).shape == run_once(numbers, (1, 6, 6)).shape == (1, 2, 4, 4)


def test_running_draws_no_random_number():
    network = twin(nn.Conv2d(1, 1, 1), "cpu")
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    run_once(network, (1, 4, 4))
    assert torch.equal(torch.rand(1), expected)


def test_lazy_weights_come_into_being_and_others_are_left_alone():
    lazy = nn.LazyConv2d(2, 1)
    bring_into_being(lazy, (3, 4, 4))
    assert lazy.weight.shape == (2, 3, 1, 1)
    bring_into_being(nn.Conv2d(5, 1, 1), (3, 4, 4))  # is not run
