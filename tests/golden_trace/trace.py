#!/usr/bin/env python3
"""The golden trace: a run's first gradient and first losses, by PyTorch in float64.

The numbers in article.json, relu.json and small.json beside this script came from

    for name in article relu small; do
        cargo run --release --example export_trace -- $name /tmp/$name
        python tests/golden_trace/trace.py /tmp/$name > tests/golden_trace/$name.json
    done

with torch 2.15.0+cu132 (on the CPU), numpy 2.4.6, safetensors 0.8.0 and Python 3.11. The
tests read the JSON files only; they need no Python.

What is computed:

- Initial weights, configuration and batches are the engine's own (initial.safetensors and
  order.txt). Everything else is PyTorch's: autograd and torch.optim.SGD, whose momentum is
  v = momentum*v + g, w = w - lr*v with v = g in the first step.
- The weights are f32 and are widened to float64. So are the learning rate and the momentum:
  0.1 is the f32 nearest to it.
- A pixel p is p/255, divided in float32 and then widened; targets are one-hot. Sample i is
  training image 5,000 + i.
- A layer is f(x @ weight + bias), weight being [in, out].
- The loss is the mean over the batch of 1/2*||y - t||^2 (mse) or of -ln softmax(y)[label]
  (cross_entropy).

What is written, one tensor a line:

- losses: the mean loss of each of the first 100 batches before its step.
- gradient: of the first batch's mean loss, for each tensor
  - max_abs, norm: the largest magnitude and the Frobenius norm;
  - values: the entries 0, stride, 2*stride, ... of the tensor in row-major order. For small
    networks and for biases the stride is 1: every entry. Else there are at least 512, and
    the stride has no factor in common with the number of columns, so that all have a turn;
  - row_sums, column_sums: of matrices with a stride above 1, so that every entry of these
    counts as well.
"""

import gzip
import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

DATA = Path(__file__).parents[2] / "data" / "mnist"
HELD_OUT = 5_000
SMALL = 20_000  # parameters up to which every entry of the gradient is written
VALUES = 512

ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,  # the exact one
}


def mnist():
    """The training images [n, 784] as bytes, and their labels, without those held out."""
    images = gzip.decompress((DATA / "train-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((DATA / "train-labels-idx1-ubyte.gz").read_bytes())
    images = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 784)
    labels = np.frombuffer(labels, np.uint8, offset=8)
    return images[HELD_OUT:], labels[HELD_OUT:]


def load(path):
    """The configuration, the SHA-256 of the parameters, and these by name, in layer order."""
    with safe_open(path, "np") as file:
        metadata = file.metadata()
        config = json.loads(metadata["config"])
        parameters = {}
        for l, (fan_in, fan_out) in enumerate(zip(config["layers"], config["layers"][1:])):
            for name, shape in [("weight", (fan_in, fan_out)), ("bias", (fan_out,))]:
                name = f"layers.{l}.{name}"
                parameters[name] = file.get_tensor(name)
                assert parameters[name].shape == shape and parameters[name].dtype == np.float32
        assert set(file.keys()) == set(parameters)
    sha256 = hashlib.sha256(b"".join(p.astype("<f4").tobytes() for p in parameters.values()))
    assert sha256.hexdigest() == metadata["weights_sha256"]
    return config, sha256.hexdigest(), parameters


def mean_loss(config, parameters, x, labels):
    values = list(parameters.values())
    layers = list(zip(values[0::2], values[1::2]))
    y = x
    for l, (weight, bias) in enumerate(layers):
        last = l + 1 == len(layers)
        f = ACTIVATIONS[config["output_activation" if last else "activation"]]
        y = f(y @ weight + bias)
    if config["loss"] == "cross_entropy":
        return torch.nn.functional.cross_entropy(y, labels)
    assert config["loss"] == "mse"
    targets = torch.nn.functional.one_hot(labels, y.shape[1]).to(y.dtype)
    return (0.5 * (y - targets) ** 2).sum(dim=1).mean()


def describe(name, gradient, every_entry):
    g = gradient.numpy()
    stride = 1
    if g.ndim == 2 and not every_entry:
        stride = max(1, g.size // VALUES)
        while stride > 1 and math.gcd(stride, g.shape[1]) > 1:
            stride -= 1
    described = {
        "tensor": name,
        "shape": list(g.shape),
        "max_abs": float(np.abs(g).max()),
        "norm": float(np.linalg.norm(g)),
        "stride": stride,
        "values": numbers(g.ravel()[::stride]),
    }
    if stride > 1:
        described["row_sums"] = numbers(g.sum(axis=1))
        described["column_sums"] = numbers(g.sum(axis=0))
    return described


def numbers(values):
    """Every digit that float64 has; zeros, of which there are many, as 0 instead of 0.0."""
    return [v or 0 for v in values.tolist()]


def main(folder):
    torch.set_num_threads(1)
    config, sha256, initial = load(folder / "initial.safetensors")
    batches = [[int(i) for i in line.split()] for line in (folder / "order.txt").open()]
    images, labels = mnist()

    parameters = {
        name: torch.tensor(p, dtype=torch.float64, requires_grad=True)
        for name, p in initial.items()
    }
    lr, momentum = (float(np.float32(config[name])) for name in ("lr", "momentum"))
    optimizer = torch.optim.SGD(parameters.values(), lr=lr, momentum=momentum)
    every_entry = sum(p.numel() for p in parameters.values()) <= SMALL

    losses, gradient = [], None
    for batch in batches:
        x = images[batch].astype(np.float32) / np.float32(255)
        x = torch.tensor(x, dtype=torch.float64)
        optimizer.zero_grad()
        loss = mean_loss(config, parameters, x, torch.tensor(labels[batch], dtype=torch.int64))
        loss.backward()
        gradient = gradient or [describe(n, p.grad, every_entry) for n, p in parameters.items()]
        optimizer.step()
        losses.append(loss.item())

    head = {
        "made_with": f"torch {torch.__version__}, float64",
        "config": config,
        "weights_sha256": sha256,
        "first_samples": sum(batches, [])[:20],
        "losses": losses,
    }
    lines = [f"{json.dumps(key)}: {dumps(value)}" for key, value in head.items()]
    tensors = ",\n".join(dumps(tensor) for tensor in gradient)
    print("{\n" + ",\n".join(lines) + f',\n"gradient": [\n{tensors}\n]\n}}')


def dumps(value):
    return json.dumps(value, separators=(",", ":"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: trace.py FOLDER > TRACE.json, FOLDER being that of export_trace")
    main(Path(sys.argv[1]))
