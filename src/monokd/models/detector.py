"""The detector: backbone, neck, heads on the stride-4 map, heads on regions (DID-M3D, Peng et al., ECCV 2022).

One network serves as teacher (depth images) and as student (colour images). Its state dict is the published layout.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monokd.classes import CLASSES
from monokd.models.dla import DLA34, DLA34_CHANNELS, initialise, scaled_channels
from monokd.models.geometry import feature_boxes, image_scale, points_to_image, ray_cells
from monokd.models.heads import cell_head, map_head, maps_at, pooled_head
from monokd.models.neck import DLAUp
from monokd.models.outputs import DetectorOutput, RoiOutput, Rois
from monokd.models.roi import roi_align
from monokd.quirks import Quirks
from monokd.samples.constants import CELLS, HEADING_BINS, MEAN_SIZES_M, STRIDE
from monokd.typing import Architecture

HEATMAP_BIAS = -2.19
TOP_K = 50  # regions a frame where none are given
CORRECTED = Quirks.of("corrected")


class Detector(nn.Module):
    """Monocular 3D detector: a backbone from B×3×H×W to maps of strides 1 to 32, a neck that fuses four, heads.

    `channels` are those of the fused maps, finest first, `hidden` those inside every head. Of the quirks count Q7 (see
    `points_to_image`), Q19, how it starts, and Q17: the visual depth is scaled by the ratio of the predicted box's
    heights on the input and in the image, each at least 1 px, not by the scale of input to image.
    """

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module,
        *,
        channels: Sequence[int],
        hidden: int,
        quirks: Quirks = CORRECTED,
    ) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.anisotropic_decode, self.clamped_heights = quirks.anisotropic_decode, quirks.clamped_heights
        self.mean_size: Tensor
        self.register_buffer("mean_size", torch.tensor(MEAN_SIZES_M, dtype=torch.float32))
        self.backbone, self.feat_up = backbone, neck
        self.heatmap = map_head(channels[0], hidden, len(CLASSES))
        self.offset_2d = map_head(channels[0], hidden, 2)
        self.size_2d = map_head(channels[0], hidden, 2)
        region = channels[0] + 2 + len(CLASSES)
        self.offset_3d = pooled_head(region, hidden, 2)
        self.size_3d = pooled_head(region, hidden, 3)
        self.heading = pooled_head(region, hidden, 2 * HEADING_BINS)
        self.vis_depth = cell_head(region, hidden)
        self.att_depth = cell_head(region, hidden)
        self.vis_depth_uncer = cell_head(region, hidden)
        self.att_depth_uncer = cell_head(region, hidden)
        self._initialise(published=quirks.published_initialisation)

    def forward(
        self,
        image: Tensor,
        P2: Tensor,
        coord_range_px: Tensor,
        rois: Rois | None = None,
        *,
        box_cells: Tensor | None = None,
        heatmap: bool = True,
    ) -> DetectorOutput:
        """Detect in B×3×H×W inputs, H and W multiples of 32.

        Args:
            image: or dense depth, as `Batch.input` gives it.
            P2: B×3×4 projection.
            coord_range_px: B×2×2, corners of the crop in image pixels that the input shows.
            rois: regions to look at; None looks at the highest peaks of every frame.
            box_cells: N int64, positions in the flattened B×h×w where 2D boxes are wanted, those of `rois` among them;
                the maps are NaN elsewhere. None: everywhere.
            heatmap: False leaves the heatmap out (it has no cells then), where `rois` are given and no loss reads it.
        """
        frames = len(image)
        if rois is None:
            boxes_per_frame = [TOP_K] * frames
        else:  # a GPU is waited for, so before it has much to do
            boxes_per_frame = torch.bincount(rois.frame_index, minlength=frames).tolist()
        backbone: tuple[Tensor, ...] = self.backbone(image)
        fused: tuple[Tensor, ...] = self.feat_up(backbone[2:])
        finest = fused[0]
        wanted = heatmap or rois is None
        peaks = self.heatmap(finest) if wanted else finest.new_empty(frames, len(CLASSES), 0, 0)
        if box_cells is None:
            offset_2d, size_2d = self.offset_2d(finest), self.size_2d(finest)
        else:
            offset_2d, size_2d = maps_at((self.offset_2d, self.size_2d), finest, box_cells)
        chosen = peak_rois(peaks, TOP_K) if rois is None else rois
        boxes = feature_boxes(offset_2d, size_2d, chosen)
        seen = roi_align(finest, boxes, boxes_per_frame, cells=CELLS)
        roi = self._region_heads(seen, boxes, chosen, P2, coord_range_px, finest.shape[-2:])
        return DetectorOutput(peaks, offset_2d, size_2d, chosen, roi, backbone, fused)

    def to_image(self, points: Tensor, coord_range_px: Tensor, map_size: Sequence[int]) -> Tensor:
        """Map feature pixels to image pixels as this network does (quirk Q7); see `points_to_image`."""
        return points_to_image(points, coord_range_px, map_size, anisotropic_decode=self.anisotropic_decode)

    def _region_heads(
        self, seen: Tensor, boxes: Tensor, rois: Rois, P2: Tensor, coord_range_px: Tensor, map_size: Sequence[int]
    ) -> RoiOutput:
        """M×C×7×7 features in feature boxes → head outputs; the visual depth is scaled from the input to the image."""
        frame = rois.frame_index
        ranges = coord_range_px[frame]
        boxes_px = self.to_image(boxes, ranges, map_size)
        rays = ray_cells(boxes_px, P2[frame]).to(seen.dtype)
        one_hot = F.one_hot(rois.class_ids, len(CLASSES)).to(seen.dtype)[:, :, None, None]
        x = torch.cat((seen, rays, one_hot.expand(-1, -1, CELLS, CELLS)), 1)
        if self.clamped_heights:
            height, height_px = (b[:, 3] - b[:, 1] for b in (boxes, boxes_px))
            scale = (STRIDE * height).clamp(min=1.0) / height_px.clamp(min=1.0)
        else:
            pixels = image_scale(ranges.to(boxes.dtype), map_size, anisotropic_decode=self.anisotropic_decode)
            scale = STRIDE / pixels[:, 1]
        vis, att = (-self.vis_depth(x).squeeze(1)).exp() * scale[:, None, None], self.att_depth(x).squeeze(1)
        vis_u, att_u = self.vis_depth_uncer(x).squeeze(1), self.att_depth_uncer(x).squeeze(1)
        return RoiOutput(
            offset_3d=self.offset_3d(x).flatten(1),
            size_3d=self.size_3d(x).flatten(1),
            heading=self.heading(x).flatten(1),
            vis_depth_m=vis,
            att_depth_m=att,
            ins_depth_m=vis + att,
            vis_log_uncertainty=vis_u,
            att_log_uncertainty=att_u,
            ins_log_uncertainty=torch.stack((vis_u, att_u)).logsumexp(0),
        )

    def _initialise(self, *, published: bool) -> None:
        """Draw the start of neck and heads (quirk Q19); what is not named here starts as torch's layers do."""
        if published:
            self.feat_up.apply(initialise)
        nn.init.constant_(self.heatmap.get_parameter("2.bias"), HEATMAP_BIAS)
        for head in (self.offset_2d, self.size_2d):
            for number in (0, 2) if published else (2,):
                nn.init.normal_(head.get_parameter(f"{number}.weight"), 0.0, 0.001)
                nn.init.zeros_(head.get_parameter(f"{number}.bias"))
        xavier = nn.init.xavier_uniform_ if published else nn.init.xavier_normal_
        pooled = self.offset_3d, self.size_3d, self.heading
        cells = self.vis_depth, self.att_depth, self.vis_depth_uncer, self.att_depth_uncer
        for layer in (layer for head in (*pooled, *cells) for layer in head if isinstance(layer, nn.Conv2d)):
            xavier(layer.weight)
            nn.init.zeros_(layer.get_parameter("bias"))


def build_detector(width: float = 1.0, *, quirks: Quirks = CORRECTED, architecture: Architecture = "dla34") -> Detector:
    """Build a freshly initialised detector, `width` times the published channels (multiples of 8, at least 8)."""
    return ARCHITECTURES[architecture](width, quirks)


def dla34(width: float, quirks: Quirks) -> Detector:
    """Build the published network: DLA-34 and DLAUp."""
    channels = [scaled_channels(c, width) for c in DLA34_CHANNELS]
    neck, hidden = DLAUp(channels[2:]), scaled_channels(256, width)  # drawn before the backbone
    return Detector(DLA34(channels), neck, channels=channels[2:], hidden=hidden, quirks=quirks)


ARCHITECTURES: dict[Architecture, Callable[[float, Quirks], Detector]] = {"dla34": dla34}
"""Builders by the name that stands in a detector's file."""


def rois_from_targets(indices: Tensor, mask_2d: Tensor, class_ids: Tensor) -> Rois:
    """Give the regions that train, in order of (frame, slot); arguments as in `Targets`."""
    frame, slot = mask_2d.nonzero(as_tuple=True)
    return Rois(frame, indices[frame, slot], class_ids[frame, slot])


def peak_rois(heatmap: Tensor, top_k: int) -> Rois:
    """Find the `top_k` highest local maxima of every frame in B×C×h×w logits, over all classes, highest first."""
    frames, _, height, width = heatmap.shape
    score = heatmap.detach().sigmoid().clamp(1e-4, 1 - 1e-4)
    peaks = score * (F.max_pool2d(score, 3, 1, 1) == score)
    index = peaks.flatten(1).topk(top_k).indices.flatten()
    frame = torch.arange(frames, device=heatmap.device).repeat_interleave(top_k)
    return Rois(frame, index % (height * width), index // (height * width))
