"""Networks: correlation against its definition, inference forms against plain ones, the zoo's promises."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from siam_tracker_ros.models import onednn
from siam_tracker_ros.models.config import MaskConfig, ModelConfig
from siam_tracker_ros.models.inference import inference_copy
from siam_tracker_ros.models.mask import Cells, mask_windows, windows
from siam_tracker_ros.models.pysot_config import PysotConfigError, entry_from_pysot
from siam_tracker_ros.models.siamese import SiameseNetwork, stack_templates
from siam_tracker_ros.models.winograd import WinogradConv2d, pays_off
from siam_tracker_ros.models.xcorr import xcorr, xcorr_depthwise, xcorr_up_channel
from siam_tracker_ros.models.zoo import ZOO, UnknownModelError, get_entry, with_long_term

SMALL = ModelConfig(
    backbone="mobilenetv2",
    width_mult=0.25,
    rpn_layers=(3, 5, 7),
    rpn_channels=(16, 16, 16),
    head="multi_level",
    weighted=True,
    mask=MaskConfig((1, 2, 3), (4, 6, 8), level=1, hidden=16, coarse_size=63),
)


def seeded(config: ModelConfig, seed: int = 0) -> SiameseNetwork:
    """A network whose batch norms are not the identity, so that folding them is put to the test."""
    torch.manual_seed(seed)
    network = SiameseNetwork(config).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, 0.0, 0.2)
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, 0.0, 0.2)
    return network


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.rand(3, 3, 127, 127) * 255, torch.rand(3, 3, 255, 255) * 255


def test_xcorr_is_the_sum_it_is_defined_as() -> None:
    torch.manual_seed(0)
    search, kernel = torch.randn(2, 3, 7, 8), torch.randn(2, 3, 3, 4)
    depthwise, plain = xcorr_depthwise(search, kernel), xcorr(search, kernel)
    assert depthwise.shape == (2, 3, 5, 5)
    for n in range(2):
        for row in range(5):
            for col in range(5):
                products = search[n, :, row : row + 3, col : col + 4] * kernel[n]
                torch.testing.assert_close(depthwise[n, :, row, col], products.sum(dim=(1, 2)))
                torch.testing.assert_close(plain[n, 0, row, col], products.sum())


def test_depthwise_xcorr_has_the_gradients_of_its_definition() -> None:
    torch.manual_seed(0)
    search = torch.randn(2, 3, 7, 6, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(2, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(xcorr_depthwise, (search, kernel))
    with torch.no_grad():
        plain = xcorr_depthwise(search, kernel)
    torch.testing.assert_close(xcorr_depthwise(search, kernel), plain)


def test_up_channel_xcorr_keeps_targets_and_anchors_apart() -> None:
    torch.manual_seed(0)
    search, kernel = torch.randn(2, 3, 6, 6), torch.randn(2, 4 * 3, 3, 3)
    response = xcorr_up_channel(search, kernel)
    assert response.shape == (2, 4, 4, 4)
    for n in range(2):
        for k in range(4):
            alone = xcorr(search[n : n + 1], kernel[n : n + 1, 3 * k : 3 * k + 3])
            torch.testing.assert_close(response[n, k], alone[0, 0])


@pytest.mark.parametrize(
    ("padding", "dilation", "size"), [(0, 1, (29, 31)), (1, 1, (15, 15)), (2, 2, (31, 30)), (4, 4, (13, 31))]
)
def test_winograd_convolution_is_the_convolution(padding: int, dilation: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(256, 256, 3, padding=padding, dilation=dilation).requires_grad_(False)
    assert pays_off(conv)
    x = torch.randn(2, 256, *size)
    exact = conv.double()(x.double())
    conv.float()
    ours = WinogradConv2d(conv)(x)
    assert ours.shape == exact.shape
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=1e-5)


def test_winograd_convolution_in_blocks_is_the_same() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(256, 256, 3, padding=1).requires_grad_(False)
    x = torch.randn(1, 256, 90, 71)
    torch.testing.assert_close(WinogradConv2d(conv)(x), conv(x), rtol=0, atol=5e-5)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(256, 256, 3, stride=2),
        nn.Conv2d(256, 256, 1),
        nn.Conv2d(256, 256, 5),
        nn.Conv2d(256, 256, 3, groups=256),
        nn.Conv2d(64, 64, 3),
    ],
)
def test_winograd_leaves_other_convolutions_alone(conv: nn.Conv2d) -> None:
    assert not pays_off(conv)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        ModelConfig("alexnet", (5,), None, "up_channel", width_mult=0.25),
        ModelConfig("alexnetlegacy", (5,), None, "depthwise", width_mult=0.25),
        ModelConfig("resnet18", (2, 3, 4), (16, 16, 16), "multi_level"),
        ModelConfig("resnet34", (3,), (16,), "up_channel"),
    ],
    ids=lambda c: f"{c.backbone}-{c.head}",
)
def test_inference_form_gives_the_same_outputs(config: ModelConfig, images: tuple) -> None:
    exemplar, search = images[0][:1], images[1][:1]
    if config.backbone.startswith("alexnet"):
        search = torch.rand(1, 3, 287, 287) * 255
    network = seeded(config)
    fused = inference_copy(network, torch.device("cpu"), torch.float32)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    with torch.inference_mode():
        expected, ours = network(exemplar, search), fused(exemplar, search)
    side = 21 if config.backbone.startswith("alexnet") else 25
    assert expected[0].shape == (1, 10, side, side)
    assert expected[1].shape == (1, 20, side, side)
    for theirs, mine in zip(expected, ours, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()) + 1e-6)


def test_a_batch_of_targets_is_each_target_alone(images: tuple) -> None:
    network = seeded(SMALL)
    cells = Cells(range(3), [0, 12, 24], [5, 12, 24])
    with torch.inference_mode():
        templates = [network.template(images[0][i : i + 1]) for i in range(3)]
        features = network.features(images[1])
        batch = stack_templates(templates)
        cls, loc = network.respond(batch, features)
        masks = network.refine_masks(batch, features, cells)
        for i, template in enumerate(templates):
            alone = network.features(images[1][i : i + 1])
            cls_alone, loc_alone = network.respond(template, alone)
            mask_alone = network.refine_masks(template, alone, Cells([0], [cells.rows[i]], [cells.cols[i]]))
            torch.testing.assert_close(cls[i : i + 1], cls_alone, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(loc[i : i + 1], loc_alone, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(masks[i : i + 1], mask_alone, rtol=1e-4, atol=1e-3)


def test_response_at_a_cell_is_that_of_the_whole_map(images: tuple) -> None:
    network = seeded(SMALL)
    with torch.inference_mode():
        kernel = network.template(images[0][:1]).mask
        level = network.features(images[1][:1]).levels[1]
        whole = xcorr_depthwise(network.mask_head.conv_search(level), kernel)
        assert network.mask_head.coarse(kernel, level).shape == (1, 63 * 63, 25, 25)
        for row, col in ((0, 0), (3, 20), (24, 24)):
            under_kernel = mask_windows(level, Cells([0], [row], [col]), kernel.shape[3])
            at = network.mask_head.at(kernel, under_kernel)
            torch.testing.assert_close(at[0], whole[0, :, row, col], rtol=1e-4, atol=1e-4)


def test_window_beyond_the_map_is_zero() -> None:
    features = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)
    (cut,) = windows(features, torch.tensor([0]), torch.tensor([-1]), torch.tensor([2]), 3)[0]
    assert cut.tolist() == [[0, 0, 0], [3, 4, 0], [7, 8, 0]]


@pytest.mark.parametrize("name", ["siamrpn_mobilev2_w10", "siammask_mobilev2_w10"])
def test_own_entries_stay_under_25_mb_in_half_precision(name: str) -> None:
    with torch.device("meta"):
        network = SiameseNetwork(ZOO[name].model)
    assert sum(value.numel() for value in network.state_dict().values()) * 2 < 25e6


def test_unknown_model_lists_the_zoo() -> None:
    with pytest.raises(UnknownModelError, match=r"no model called 'siamrpn'.*siamrpn_r50_l234_dwxcorr"):
        get_entry("siamrpn")


def test_long_term_search_fits_every_response_map() -> None:
    """Every enlarged search region gives the response map that its anchors are made for."""
    for entry in ZOO.values():
        tracking = with_long_term(entry, True).tracking
        for size in tracking.long_term.instance_sizes:
            assert (size - tracking.exemplar_size) % tracking.anchors.stride == 0
    alone = seeded(ModelConfig("alexnet", (5,), None, "depthwise", width_mult=0.125))
    with torch.inference_mode():
        cls, _ = alone(torch.zeros(1, 3, 127, 127), torch.zeros(1, 3, 383, 383))
    assert cls.shape[-1] == ZOO["siamrpn_alex_dwxcorr"].tracking.score_size(383)


def test_pysot_configuration_names_what_is_not_known() -> None:
    config = {"BACKBONE": {"TYPE": "vgg"}, "RPN": {"TYPE": "MultiRPN", "KWARGS": {}}}
    with pytest.raises(PysotConfigError, match=r"BACKBONE.TYPE is 'vgg'; known are resnet18"):
        entry_from_pysot("x", config)
    with pytest.raises(PysotConfigError, match="has no RPN"):
        entry_from_pysot("x", {"BACKBONE": {"TYPE": "alexnet"}})


def test_variants_of_an_entry_leave_it_alone() -> None:
    entry = ZOO["siamrpn_r50_l234_dwxcorr"]
    longer = with_long_term(entry, True)
    assert longer.tracking.long_term is not None
    assert entry.tracking.long_term is None
    assert with_long_term(longer, False) == entry
    assert replace(entry, name="other").model is entry.model


@pytest.mark.parametrize("activation", [None, nn.ReLU(), nn.ReLU6()], ids=lambda a: type(a).__name__)
@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(8, 16, 1),
        nn.Conv2d(8, 16, 3, stride=2, bias=False),
        nn.Conv2d(8, 8, 3, padding=4, dilation=4, groups=8),
    ],
    ids=["1x1", "strided", "depthwise"],
)
def test_onednn_convolution_is_the_convolution(conv: nn.Conv2d, activation: nn.Module | None) -> None:
    if not onednn.available():
        pytest.skip("NOT TESTED: this PyTorch has no oneDNN convolution with activation")
    torch.manual_seed(0)
    for n, side in ((1, 31), (3, 15)):
        x = 8 * torch.randn(n, 8, side, side)
        with torch.inference_mode():
            plain = conv(x) if activation is None else activation(conv(x))
            torch.testing.assert_close(onednn.OneDnnConv2d(conv, activation)(x), plain, rtol=0, atol=1e-5)


def test_networks_work_where_onednn_is_missing(monkeypatch: pytest.MonkeyPatch, images: tuple) -> None:
    monkeypatch.setattr(onednn, "available", lambda: False)
    network = seeded(SMALL)
    plain = inference_copy(network, torch.device("cpu"), torch.float32)
    assert not any(isinstance(m, onednn.OneDnnConv2d) for m in plain.modules())
    with torch.inference_mode():
        expected, ours = network(images[0][:1], images[1][:1]), plain(images[0][:1], images[1][:1])
    torch.testing.assert_close(ours[0], expected[0], rtol=0, atol=1e-4)
