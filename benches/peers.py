#!/usr/bin/env python3
"""The matrix products of `fanin bench gemm` with the BLAS of NumPy and with PyTorch.

    python3 -m venv peers && peers/bin/pip install numpy torch threadpoolctl
    peers/bin/python benches/peers.py > peers.json
    fanin bench gemm --json > fanin.json

One thread. Prints one JSON object: `libraries` says what was loaded, `gemm` has a line for
each library and product with the fields of `fanin bench gemm --json` (kind, m, k, n,
seconds, gflops) and `library`, so the two can be joined on (kind, m, k, n). The figure of a
line is that of its fastest round, since other programs can only make rounds slower.

NumPy from PyPI brings OpenBLAS and PyTorch (on x86) MKL. Other libraries are loaded with
ctypes, if they export cblas_sgemm with 32-bit integers:

    peers/bin/pip install mkl                          # or: apt install libblis4-openmp
    peers/bin/python benches/peers.py --library mkl=peers/lib/libmkl_rt.so.3

OpenBLAS chooses its kernels by the model of the CPU and takes older ones where it does not
know it; `architecture` in the output tells. OPENBLAS_CORETYPE=SkylakeX asks for those with
AVX-512.

The operands lie as in fanin: all matrices are row-major, A of dW and B of dX are transposed
views. Without torch or threadpoolctl what is there is measured.
"""

import argparse
import json
import os
import statistics
import sys
import time

# Before any of them is loaded.
for _name in ("OMP", "OPENBLAS", "MKL", "BLIS"):
    os.environ[_name + "_NUM_THREADS"] = "1"

import ctypes  # noqa: E402

import numpy as np  # noqa: E402

LAYERS = [784, 390, 156, 62, 25, 10]
ROUND = 0.3e-3
LEAST_ROUNDS = 3


def cases(long):
    """(kind, m, k, n), the same as in src/bench/gemm.rs."""
    pairs = list(zip(LAYERS, LAYERS[1:]))
    for batch in (10, 32, 100):
        for layer, (fan_in, fan_out) in enumerate(pairs):
            yield "forward", batch, fan_in, fan_out
            yield "dW", fan_in, batch, fan_out
            if layer > 0:
                yield "dX", batch, fan_out, fan_in
    for fan_in, fan_out in pairs:
        yield "forward", 1000, fan_in, fan_out
    for n in (64, 128, 256, 512, 1024) + ((2048,) if long else ()):
        yield "forward", n, n, n
    yield "forward", 127, 129, 131


def operands(kind, m, k, n):
    """A [m, k], B [k, n] (views of row-major matrices), and C [m, n]."""

    def matrix(rows, cols):
        values = np.arange(rows * cols, dtype=np.float32) % 17 / 16 - 0.5
        return np.ascontiguousarray(values.reshape(rows, cols), dtype=np.float32)

    a = matrix(k, m).T if kind == "dW" else matrix(m, k)
    b = matrix(n, k).T if kind == "dX" else matrix(k, n)
    return a, b, np.zeros((m, n), np.float32)


def numpy_product(a, b, c):
    return lambda: np.matmul(a, b, out=c)


def torch_product(torch):
    def product(a, b, c):
        a, b, c = (torch.from_numpy(x) for x in (a, b, c))
        return lambda: torch.mm(a, b, out=c)

    return product


def cblas_product(library):
    """C = A·B by cblas_sgemm of a shared library, with 32-bit integers."""
    sgemm = library.cblas_sgemm
    pointer, integer, real = ctypes.c_void_p, ctypes.c_int, ctypes.c_float
    sgemm.argtypes = [integer] * 6 + [real, pointer, integer, pointer, integer]
    sgemm.argtypes += [real, pointer, integer]
    sgemm.restype = None

    def product(a, b, c):
        (m, k), n = a.shape, b.shape[1]
        transposed = [not x.flags.c_contiguous for x in (a, b)]
        rows = [x.T if t else x for x, t in zip((a, b), transposed)]
        order, (trans_a, trans_b) = 101, (112 if t else 111 for t in transposed)
        (lda, ldb) = (x.shape[1] for x in rows)
        pointers = [x.ctypes.data for x in (*rows, c)]
        arguments = (order, trans_a, trans_b, m, n, k, 1.0)
        arguments += (pointers[0], lda, pointers[1], ldb, 0.0, pointers[2], n)
        # The arrays must outlive the call: hence among the defaults.
        return lambda keep=(rows, c): sgemm(*arguments)

    return product


def measure(call, seconds):
    """Times of one call, in rounds."""

    def taken(repeat):
        start = time.perf_counter()
        for _ in range(repeat):
            call()
        return time.perf_counter() - start

    repeat = 1
    while taken(repeat) < 0.6 * ROUND:
        repeat *= 2
    times, started = [], time.perf_counter()
    while len(times) < LEAST_ROUNDS or time.perf_counter() - started < seconds:
        times.append(taken(repeat) / repeat)
    return times


def check(product, kind, m, k, n):
    """Against float64: what is wrong is not worth timing."""
    a, b, c = operands(kind, m, k, n)
    product(a, b, c)()
    expected = a.astype(np.float64) @ b.astype(np.float64)
    return np.allclose(c, expected, rtol=1e-4, atol=1e-4 * k)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--long", action="store_true", help="squares up to 2,048")
    parser.add_argument("--seconds", type=float, default=0.1, help="time for each line")
    parser.add_argument(
        "--library",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a shared library with cblas_sgemm",
    )
    args = parser.parse_args()

    products, libraries = {"numpy": numpy_product}, {"numpy": np.__version__}
    try:
        import torch

        torch.set_num_threads(1)
        products["torch"] = torch_product(torch)
        libraries["torch"] = torch.__version__
    except ImportError:
        print("no torch: left out", file=sys.stderr)
    for spec in args.library:
        name, _, file = spec.partition("=")
        products[name] = cblas_product(ctypes.CDLL(file))
        libraries[name] = file
    try:
        import threadpoolctl

        threadpoolctl.threadpool_limits(1)
        keys = ("internal_api", "version", "architecture", "num_threads")
        libraries["blas"] = [
            {key: pool.get(key) for key in keys}
            for pool in threadpoolctl.threadpool_info()
            if pool["user_api"] == "blas"
        ]
    except ImportError:
        print("no threadpoolctl: which BLAS it is remains unknown", file=sys.stderr)

    lines = []
    for kind, m, k, n in cases(args.long):
        for name, product in products.items():
            if not check(product, kind, m, k, n):
                sys.exit(f"{name}: {kind} {m}x{k}x{n} is wrong")
            times = measure(product(*operands(kind, m, k, n)), args.seconds)
            lines.append(
                {
                    "library": name,
                    "kind": kind,
                    "m": m,
                    "k": k,
                    "n": n,
                    "seconds": {
                        "rounds": len(times),
                        "min": min(times),
                        "median": statistics.median(times),
                    },
                    "gflops": 2 * m * k * n / min(times) / 1e9,
                }
            )
    print(json.dumps({"libraries": libraries, "gemm": lines}, indent=2))


if __name__ == "__main__":
    main()
