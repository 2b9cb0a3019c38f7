"""Fisher information of layers by its definition: one image, one layer, one weight after the other."""

import copy

import torch
from torch import nn


def layer_information(module, images, labels):
    """Rows of images, columns of layers: the mean over a layer's weights of the squared gradient of -log p_y."""
    module = copy.deepcopy(module).eval()
    layers = [
        layer for layer in module.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
    ]
    rows = []
    for image, label in zip(images, labels, strict=True):
        row = []
        for layer in layers:
            layer.weight.requires_grad_(True)
            probability = torch.softmax(module(image.unsqueeze(0)).double(), dim=1)[0, label]
            (gradient,) = torch.autograd.grad(-torch.log(probability), layer.weight)
            total = 0.0
            for value in gradient.flatten().tolist():
                total += value**2
            row.append(total / gradient.numel())
        rows.append(row)
    return rows


def share(rows):
    """Each layer's part of the sum over all images and layers."""
    sums = [sum(row[layer] for row in rows) for layer in range(len(rows[0]))]
    return [one / sum(sums) for one in sums]
