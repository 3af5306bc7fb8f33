"""MonoASD's align-and-select block: each branch sees the other's attention, then scans its own tokens."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monokd.distill.selective_scan import selective_scan
from monokd.losses.means import ALONE, Mean, Processes

STATES = 16


class LargeKernelAttention(nn.Module):
    """Spatially selected attention from a 5×5 and a dilated 7×7 depthwise kernel (LSKNet, Li et al. 2023)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv0 = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.conv_spatial = nn.Conv2d(channels, channels, 7, padding=9, groups=channels, dilation=3)
        self.conv1 = nn.Conv2d(channels, half, 1)
        self.conv2 = nn.Conv2d(channels, half, 1)
        self.conv_squeeze = nn.Conv2d(2, 2, 7, padding=3)
        self.conv = nn.Conv2d(half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return attention B×C×h×w of maps B×C×h×w, to multiply maps with."""
        near = self.conv0(x)
        near, far = self.conv1(near), self.conv2(self.conv_spatial(near))
        both = torch.cat([near, far], 1)
        pooled = torch.cat([both.mean(1, keepdim=True), both.amax(1, keepdim=True)], 1)
        chosen = torch.sigmoid(self.conv_squeeze(pooled))
        attention: Tensor = self.conv(near * chosen[:, :1] + far * chosen[:, 1:])
        return attention


class CrossAttention(nn.Module):
    """Attention of each branch, applied to the other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stu_attn = LargeKernelAttention(channels)
        self.tea_attn = LargeKernelAttention(channels)

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Return the student's maps under the teacher's attention, and the teacher's under the student's."""
        return student * self.tea_attn(teacher), teacher * self.stu_attn(student)


class ConvScan(nn.Module):
    """Two branches over row-major tokens: convolution alone, and convolution with selective scan.

    The mixer of MambaVision (Hatamizadeh and Kautz 2024).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rank = math.ceil(channels / 16)
        self.in_proj = nn.Linear(channels, 2 * channels, bias=False)
        self.x_proj = nn.Linear(channels, self.rank + 2 * STATES, bias=False)
        self.dt_proj = nn.Linear(self.rank, channels)
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, STATES + 1).repeat(channels, 1)))
        self.D = nn.Parameter(torch.ones(channels))
        self.out_proj = nn.Linear(2 * channels, channels, bias=False)
        self.conv1d_x = nn.Conv1d(channels, channels, 4, padding="same", groups=channels, bias=False)
        self.conv1d_z = nn.Conv1d(channels, channels, 4, padding="same", groups=channels, bias=False)
        # Steps start log-uniform in [0.001, 0.1] (Mamba's initialisation).
        nn.init.uniform_(self.dt_proj.weight, -(self.rank**-0.5), self.rank**-0.5)
        low, high = math.log(0.001), math.log(0.1)
        steps = torch.exp(torch.rand(channels) * (high - low) + low).clamp(min=1e-4)
        with torch.no_grad():
            self.dt_proj.bias.copy_(steps + torch.log(-torch.expm1(-steps)))

    def forward(self, maps: Tensor) -> Tensor:
        """Mix maps B×C×h×w into maps of the same shape."""
        x, z = self.in_proj(maps.flatten(2).transpose(1, 2)).transpose(1, 2).chunk(2, 1)
        # "same" for a kernel of 4 is one zero before and two behind, about which torch's own layer warns.
        x, z = (
            F.silu(F.conv1d(F.pad(t, (1, 2)), conv.weight, groups=conv.groups)).transpose(1, 2)
            for t, conv in ((x, self.conv1d_x), (z, self.conv1d_z))
        )
        steps, B, C = self.x_proj(x).split([self.rank, STATES, STATES], -1)
        # The published block adds the bias in the projection and again in the scan.
        delta = F.softplus((self.dt_proj(steps) + self.dt_proj.bias).float())
        A = -torch.exp(self.A_log.float())
        y = selective_scan(x.float(), delta, A, B.float(), C.float(), self.D.float())
        out: Tensor = self.out_proj(torch.cat([y.to(z.dtype), z], -1))
        return out.transpose(1, 2).reshape(maps.shape)


class Squeeze(nn.Module):
    """The map handed on: raw + GELU(BN(conv3×3(raw, aligned, selected)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sq = nn.Sequential(nn.Conv2d(3 * channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.GELU())

    def forward(self, raw: Tensor, aligned: Tensor, selected: Tensor) -> Tensor:
        """Return one map of three, all B×C×h×w."""
        squeezed: Tensor = self.sq(torch.cat([raw, aligned, selected], 1))
        return raw + squeezed


class AlignSelect(nn.Module):
    """Align and select on every level, finest first; attribute names are those of `compute_align_select_loss.*`.

    With quirk Q14 (`running_level_sums`) the sum over levels is added to the loss at every level, so of four levels the
    first counts 4 times, the last once. With quirk Q15 (`trainable_teacher_side`) the modules of the teacher's branch
    train with the student's, so the target moves; without, they keep their first values.
    """

    def __init__(
        self, channels: Sequence[int], *, running_level_sums: bool = False, trainable_teacher_side: bool = False
    ) -> None:
        super().__init__()
        self.levels = len(channels)
        self.running_level_sums = running_level_sums
        for i, c in enumerate(channels):
            self.add_module(f"feat_align_{i}", CrossAttention(c))
            self.add_module(f"conv_ssm_stu_{i}", ConvScan(c))
            self.add_module(f"conv_ssm_tea_{i}", ConvScan(c))
            self.add_module(f"conv_stu_{i}", Squeeze(c))
            self.add_module(f"conv_tea_{i}", Squeeze(c))
        if not trainable_teacher_side:
            for name, parameter in self.named_parameters():
                parameter.requires_grad_("tea_" not in name)

    def forward(
        self, student: Sequence[Tensor], teacher: Sequence[Tensor], processes: Processes = ALONE
    ) -> tuple[Mean, list[Tensor], list[Tensor]]:
        """Return the loss, over the batch's frames, and the maps of both branches for the affinity term.

        Maps are B×C×h×w, finest first, of the same shapes on both sides.
        """
        terms, out_student, out_teacher = [], [], []
        for i in range(self.levels):
            s, t = student[i], teacher[i].detach()
            aligned_s, aligned_t = self.get_submodule(f"feat_align_{i}")(s, t)
            selected_s = self.get_submodule(f"conv_ssm_stu_{i}")(s)
            selected_t = self.get_submodule(f"conv_ssm_tea_{i}")(t)
            term = standardised_l1(aligned_s, aligned_t) + standardised_l1(selected_s, selected_t)
            terms.append((self.levels - i) * term if self.running_level_sums else term)
            out_student.append(self.get_submodule(f"conv_stu_{i}")(s, aligned_s, selected_s))
            out_teacher.append(self.get_submodule(f"conv_tea_{i}")(t, aligned_t, selected_t))
        return Mean(torch.stack(terms).sum() / processes.count, len(student[0])), out_student, out_teacher


def standardised_l1(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of B×C×h×w maps, each brought to mean 0 and standard deviation 1 over its positions."""
    return F.l1_loss(_standardise(a.float()), _standardise(b.float()))


def _standardise(x: Tensor) -> Tensor:
    spread, mean = torch.std_mean(x, (2, 3), keepdim=True)
    return (x - mean) / (spread + 1e-7)
