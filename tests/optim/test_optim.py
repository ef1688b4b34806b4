"""Optimizers, schedules, the learning-rate range test and weight averaging."""

import itertools
import math

import pytest
import torch
from torch import nn

from voxloom.optim import EMA, SCHEDULES, find_lr, lr_at, make_optimizer, valley
from voxloom.optim.muon import by_bands, orthogonalized


@pytest.mark.parametrize("name", ["adam", "adamw", "muon", "ranger", "sgd"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_every_optimizer_goes_downhill_and_resumes_bit_for_bit(name: str, momentum: float) -> None:
    def build() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
        return model, make_optimizer(model.parameters(), name, lr=0.05, weight_decay=1e-4, momentum=momentum)

    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))

    def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> float:
        for _ in range(count):
            loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    whole, optimizer = build()
    first = steps(whole, optimizer, 1)
    assert steps(whole, optimizer, 19) < first

    half, optimizer = build()
    steps(half, optimizer, 10)
    resumed, fresh = build()
    resumed.load_state_dict(half.state_dict())
    fresh.load_state_dict(optimizer.state_dict())
    steps(resumed, fresh, 10)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))


def test_optimizer_settings_arrive() -> None:
    weight = nn.Parameter(torch.zeros(1))
    sgd = make_optimizer([weight], "sgd", lr=0.1, weight_decay=0.2, momentum=0.8, nesterov=False).param_groups[0]
    assert (sgd["lr"], sgd["weight_decay"], sgd["momentum"], sgd["nesterov"]) == (0.1, 0.2, 0.8, False)
    assert make_optimizer([weight], "sgd", lr=0.1, weight_decay=0).param_groups[0]["nesterov"]
    with pytest.raises(ValueError, match="unknown optimizer 'adma': adam, adamw, muon, ranger or sgd"):
        make_optimizer([weight], "adma", lr=0.1, weight_decay=0)


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "constant"])
def test_a_schedule_peaks_at_1_ends_near_0_and_never_jumps(name: str) -> None:
    rates = [lr_at(name, n / 1000) for n in range(1001)]
    assert max(rates) == pytest.approx(1, abs=1e-6)
    assert min(rates) >= 0
    assert rates[-1] <= 1e-3
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert max(abs(a - b) for a, b in itertools.pairwise(rates)) < 0.02


@pytest.mark.parametrize("name", SCHEDULES)
def test_beyond_its_ends_a_schedule_stays(name: str) -> None:
    assert lr_at(name, -0.1) == lr_at(name, 0)
    assert lr_at(name, 1.1) == lr_at(name, 1)


def test_known_points_of_the_schedules() -> None:
    assert lr_at("poly", 0.5) == pytest.approx(0.5**0.9)
    assert lr_at("flat_cosine", 0.74) == 1
    assert lr_at("flat_cosine", 0.875) == pytest.approx(
        0.5, abs=1e-3
    )  # the cosine of the last quarter is half way down
    assert [lr_at("constant", share) for share in (0.0, 0.5, 1.0)] == [1, 1, 1]
    assert lr_at("one_cycle", 0) == pytest.approx(1 / 25)
    with pytest.raises(ValueError, match="unknown schedule 'cosine'"):
        lr_at("cosine", 0.5)


def test_adam_is_l2_and_adamw_is_decoupled() -> None:
    """With a gradient of 0 an L2 penalty is normalized away to a whole step; decoupled decay only shrinks."""
    found = {}
    for name in ("adam", "adamw", "muon", "ranger"):
        weight = nn.Parameter(torch.full((1,), 2.0))
        optimizer = make_optimizer([weight], name, lr=0.1, weight_decay=0.5)
        weight.grad = torch.zeros(1)
        optimizer.step()
        found[name] = float(weight.detach())
    assert found["adam"] == pytest.approx(1.9, abs=1e-4)
    assert found["adamw"] == found["muon"] == found["ranger"] == pytest.approx(2.0 * (1 - 0.1 * 0.5), abs=1e-5)


def test_ranger_returns_half_way_every_six_steps() -> None:
    torch.manual_seed(0)
    plain, ranger = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    alone = torch.optim.RAdam([plain], lr=0.1, betas=(0.95, 0.999), eps=1e-5, decoupled_weight_decay=True)
    whole = make_optimizer([ranger], "ranger", lr=0.1, weight_decay=0.0)
    for step in range(1, 7):
        for weight, optimizer in ((plain, alone), (ranger, whole)):
            weight.grad = torch.tensor([1.0, -0.5, 0.2]) * step
            optimizer.step()
        if step < 6:
            assert torch.equal(plain, ranger)
    assert torch.allclose(ranger, torch.ones(3) + 0.5 * (plain - 1), atol=1e-6)


@pytest.mark.parametrize("shape", [(24, 40, 3, 3, 3), (96, 16), (20, 20)])
def test_muon_keeps_singular_vectors_and_brings_singular_values_near_1(shape: tuple[int, ...]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)).flatten(1)
    found = orthogonalized(matrix)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    inner = left.T @ found @ right.T
    assert torch.allclose(inner, torch.diag(inner.diagonal()), atol=1e-3)
    large = values > 0.02 * values.norm()
    assert bool(((inner.diagonal() > 0.6) & (inner.diagonal() < 1.3))[large].all())


@pytest.mark.parametrize("shape", [(300, 700), (700, 300)])
def test_muon_makes_large_matrices_orthogonal_in_equal_bands_of_the_shorter_side(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    axis = shape.index(300)
    found = by_bands(matrix)
    for band, own in zip(found.split(100, axis), matrix.split(100, axis), strict=True):
        torch.testing.assert_close(band, orthogonalized(own))
    assert 0.7 < float(found.square().mean().sqrt()) * 700**0.5 < 1.2
    small = matrix[:100, :90]
    assert torch.equal(by_bands(small), orthogonalized(small))


def test_muon_steps_are_as_long_as_adams_and_small_weights_take_adams() -> None:
    matrix, bias = nn.Parameter(torch.zeros(32, 64)), nn.Parameter(torch.zeros(32))
    optimizer = make_optimizer([matrix, bias], "muon", lr=0.1, weight_decay=0.0)
    for weight in (matrix, bias):
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2))
    optimizer.step()
    root_mean_square = float(matrix.detach().square().mean().sqrt())
    assert 0.1 * 0.2 * 0.6 < root_mean_square < 0.1 * 0.2 * 1.3
    assert torch.allclose(bias.detach(), -0.1 * bias.grad.sign(), atol=1e-4)


def test_groups_keep_their_own_keys_and_weights_without_a_gradient_rest() -> None:
    first, second = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    groups = [{"params": [first], "factor": 0.1}, {"params": [second], "factor": 1.0}]
    optimizer = make_optimizer(groups, "ranger", lr=0.1, weight_decay=0.1)
    second.grad = torch.ones(1)
    optimizer.step()
    assert [group["factor"] for group in optimizer.param_groups] == [0.1, 1.0]
    assert float(first.detach()) == 1.0
    assert float(second.detach()) < 1.0


def test_the_range_test_stops_when_the_loss_explodes_and_suggests_a_rate_before() -> None:
    weight = [3.0]

    def step(rate: float) -> float:
        loss = weight[0] ** 2
        weight[0] -= rate * 2 * weight[0]
        return loss

    rates, losses, suggested = find_lr(step, low=1e-4, high=100, steps=120)
    assert len(rates) == len(losses) < 120
    assert all(math.isfinite(loss) for loss in losses)
    assert 1e-3 < suggested < 1.0


def test_the_range_test_survives_a_loss_that_is_not_a_number() -> None:
    rates, _, suggested = find_lr(lambda rate: math.nan if rate > 0.1 else 1 - rate, steps=50)
    assert rates[-1] <= 0.1
    assert suggested <= 0.1


def model_of(value: float) -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(value)
    return model


def test_the_average_moves_by_its_decay_once_it_is_warm() -> None:
    model = model_of(0.0)
    ema = EMA(model, 0.5)
    with torch.no_grad():
        model[0].weight.fill_(1.0)
    ema.update(model)
    share = 1 - 2 / 11  # the first step forgets quickly
    assert torch.allclose(ema.average["0.weight"], torch.full((2, 2), share))
    for _ in range(20):
        ema.update(model)
    assert torch.allclose(ema.average["0.weight"], torch.ones(2, 2), atol=1e-5)


def test_the_module_has_the_average_within_the_block_and_its_own_weights_after() -> None:
    model = model_of(1.0)
    ema = EMA(model, 0.9)
    with torch.no_grad():
        model[0].weight.fill_(2.0)
    with ema.applied_to(model):
        assert torch.equal(model[0].weight, torch.ones(2, 2))
    assert torch.equal(model[0].weight, torch.full((2, 2), 2.0))


def test_the_module_gets_its_own_weights_back_after_an_error() -> None:
    model = model_of(1.0)
    ema = EMA(model_of(3.0), 0.9)
    block = ema.applied_to(model)
    block.__enter__()
    assert block.__exit__(RuntimeError, RuntimeError("interrupted"), None) is not True
    assert torch.equal(model[0].weight, torch.ones(2, 2))


def test_the_average_resumes_bit_for_bit_and_keeps_integer_buffers() -> None:
    model = model_of(1.0)
    ema, resumed = EMA(model, 0.99), EMA(model_of(5.0), 0.99)
    for _ in range(3):
        model(torch.randn(4, 2))
        ema.update(model)
    resumed.load_state_dict(ema.state_dict())
    model(torch.randn(4, 2))
    ema.update(model)
    resumed.update(model)
    assert resumed.steps == ema.steps == 4
    assert all(torch.equal(a, b) for a, b in zip(ema.average.values(), resumed.average.values(), strict=True))
    assert int(ema.average["1.num_batches_tracked"]) == 4


def test_valley_lies_in_the_middle_of_the_longest_fall() -> None:
    rates = [10.0**n for n in range(30)]
    losses = [5.0, 4.0, 6.0, *(6.0 - 0.2 * n for n in range(1, 18)), *(9.0 + n for n in range(10))]
    assert valley(rates, losses) == 1e11  # it falls from the 4th to the 20th of 30 rates
    noisy = [loss + (0.3 if n % 4 == 0 else 0.0) for n, loss in enumerate(losses)]
    assert 1e9 <= valley(rates, noisy) <= 1e14
    assert valley([0.1], [1.0]) == 0.1
    assert valley(rates, [float(n) for n in range(30)]) == rates[3]  # nothing falls
