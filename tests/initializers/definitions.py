"""Writes down what the initializers of PyTorch, Keras and JAX are, for tests/initializers.rs.

    definitions.py torch >  definitions.txt      (PyTorch 2.15.0)
    KERAS_BACKEND=jax definitions.py keras >> definitions.txt      (Keras 3.15.1)
    definitions.py jax   >> definitions.txt      (JAX 0.10.2)

(with NumPy and SciPy 1.17.1).

Nothing here knows a formula. Each initializer of a library runs as it is, but the random
functions below it are replaced by recorders, so that the standard deviation or the limits
it asks for come out of the library's own code. Then the initializer runs unchanged, until
it has drawn 200,000 weights, and these must follow the law recorded: Kolmogorov-Smirnov,
p > 1e-6.

A weight matrix has fan_in inputs and fan_out outputs: shape [fan_out, fan_in] in PyTorch,
[fan_in, fan_out] in Keras and JAX. A line is one of

    law LIBRARY CALL FANIN fan_in fan_out normal SIGMA inf
    law LIBRARY CALL FANIN fan_in fan_out uniform LIMIT LIMIT
    law LIBRARY CALL FANIN fan_in fan_out truncated SIGMA LIMIT
    gain LIBRARY CALL ACTIVATION GAIN
    sparse LIBRARY CALL FANIN fan_in fan_out CONNECTIONS
    identity LIBRARY CALL FANIN fan_in fan_out GAIN
    orthogonal LIBRARY CALL FANIN fan_in fan_out GAIN

with CALL the library's initializer, FANIN the name of the same in fanin; SIGMA the
standard deviation before a cut at +-LIMIT; CONNECTIONS the weights that are not 0 of each
output (FANIN is sparse:...) or input (sparse_out:...), counted; GAIN the diagonal of an
identity, or the common length of the orthogonal rows or columns, which are checked.
"""

import contextlib
import math
import sys
from unittest import mock

import numpy as np
from scipy import stats

SHAPES = [(784, 390), (390, 156), (25, 10), (10, 300), (7, 5)]
DRAWS = 200_000


def law(library, call, fanin, fans, kind, scale, limit, draw):
    """Checks what `draw()` draws against the law, then prints it."""
    w, n = [], 0
    while n < DRAWS:
        w.append(np.asarray(draw(), dtype=np.float64).ravel())
        n += w[-1].size
    w = np.concatenate(w)
    known = {
        "normal": stats.norm(0, scale),
        "uniform": stats.uniform(-limit, 2 * limit),
        "truncated": stats.truncnorm(-limit / scale, limit / scale, 0, scale),
    }[kind]
    assert stats.kstest(w, known.cdf).pvalue > 1e-6, (call, fans)
    assert abs(w).max() <= limit * (1 + 2e-7), (call, fans)
    print("law", library, call, fanin, *fans, kind, repr(float(scale)), repr(float(limit)))


def orthogonal(library, call, fanin, fans, w):
    """Checks the shorter of W W^T and W^T W, then prints the gain."""
    w = np.asarray(w, dtype=np.float64)
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    square = np.diag(gram).mean()
    assert np.abs(gram - square * np.eye(len(gram))).max() < 1e-5, call
    print("orthogonal", library, call, fanin, *fans, f"{math.sqrt(square):.5f}")


def from_torch():
    import torch
    from torch.nn import init

    torch.manual_seed(1)

    @contextlib.contextmanager
    def recorded():
        """The calls of random functions meanwhile."""
        found = []

        def uniform(tensor, a, b, generator=None):
            assert a == -b
            found.append(("uniform", b, b))
            return tensor

        def normal(tensor, mean, std, generator=None):
            assert mean == 0
            found.append(("normal", std, math.inf))
            return tensor

        def truncated(tensor, mean, std, a, b, generator):
            assert mean == 0 and a == -b
            found.append(("truncated", std, b))
            return tensor

        with (
            mock.patch.object(torch.Tensor, "uniform_", uniform),
            mock.patch.object(torch.Tensor, "normal_", normal),
            mock.patch.object(init, "_no_grad_trunc_normal_", truncated),
        ):
            yield found

    def record(function, shape):
        with recorded() as found:
            function(torch.empty(shape))
        (one,) = found
        return one

    calls = [
        ("normal_(std=0.02)", "normal:0.02", lambda w: init.normal_(w, std=0.02)),
        ("uniform_(-0.1,0.1)", "uniform:0.1", lambda w: init.uniform_(w, -0.1, 0.1)),
        ("trunc_normal_()", "truncated_normal", init.trunc_normal_),
        (
            "trunc_normal_(std=0.02,a=-0.04,b=0.04)",
            "truncated_normal:0.02",
            lambda w: init.trunc_normal_(w, std=0.02, a=-0.04, b=0.04),
        ),
        ("xavier_uniform_", "glorot_uniform", init.xavier_uniform_),
        ("xavier_uniform_", "xavier_uniform", init.xavier_uniform_),
        ("xavier_normal_", "glorot_normal", init.xavier_normal_),
        (
            "xavier_normal_(gain=5/3)",
            "xavier_normal:1.6666666",
            lambda w: init.xavier_normal_(w, 5 / 3),
        ),
        ("kaiming_uniform_", "he_uniform", init.kaiming_uniform_),
        ("kaiming_normal_", "he_normal", init.kaiming_normal_),
        (
            "kaiming_normal_(nonlinearity=relu)",
            "kaiming_normal",
            lambda w: init.kaiming_normal_(w, nonlinearity="relu"),
        ),
        ("kaiming_normal_(a=0.2)", "he_normal:1.3867505", lambda w: init.kaiming_normal_(w, a=0.2)),
        (
            "kaiming_normal_(nonlinearity=linear)",
            "lecun_normal",
            lambda w: init.kaiming_normal_(w, nonlinearity="linear"),
        ),
        (
            "kaiming_uniform_(nonlinearity=linear)",
            "lecun_uniform",
            lambda w: init.kaiming_uniform_(w, nonlinearity="linear"),
        ),
    ]
    for call, fanin, function in calls:
        for fans in SHAPES:
            shape = fans[::-1]
            found = record(function, shape)
            law("torch", call, fanin, fans, *found, lambda: function(torch.empty(shape)))
    # The weights and biases of a new nn.Linear.
    for fans in SHAPES:
        with recorded() as found:
            torch.nn.Linear(*fans)
        weight, bias = found
        assert weight[0] == bias[0] and math.isclose(weight[1], bias[1])
        draw = lambda: torch.nn.Linear(*fans).weight.detach()
        law("torch", "nn.Linear", "lecun_uniform:0.57735027", fans, *weight, draw)

    for activation, arguments in [
        ("identity", ("linear",)),
        ("sigmoid", ("sigmoid",)),
        ("tanh", ("tanh",)),
        ("relu", ("relu",)),
        ("leaky_relu:0.01", ("leaky_relu",)),
        ("leaky_relu:0.01", ("leaky_relu", 0.01)),
        ("leaky_relu:0.2", ("leaky_relu", 0.2)),
        ("selu", ("selu",)),
    ]:
        call = f"calculate_gain({','.join(map(str, arguments))})"
        print("gain torch", call, activation, repr(float(init.calculate_gain(*arguments))))

    for fans in SHAPES:
        for sparsity in (0.1, 0.5, 0.9):
            # Of nn.Linear's weight [fan_out, fan_in] a column is an input.
            for call, fanin, shape in (
                (f"sparse_(weight,{sparsity})", "sparse_out", fans[::-1]),
                (f"sparse_(weight.T,{sparsity})", "sparse", fans),
            ):
                w = init.sparse_(torch.empty(shape), sparsity)
                counts = set((w != 0).sum(dim=0).tolist())
                assert len(counts) == 1
                (k,) = counts
                if k > 0:
                    print("sparse torch", call, f"{fanin}:{k}:0.01", *fans, k)
        # Its weights that are not 0 are those of normal_(std=0.01).
        assert record(lambda w: init.sparse_(w, 0.5), fans) == ("normal", 0.01, math.inf)
        w = init.eye_(torch.empty(fans[::-1])).T
        assert (w == torch.eye(*fans)).all()
        print("identity torch eye_ identity", *fans, 1.0)
        for gain in (1, 1.5):
            w = init.orthogonal_(torch.empty(fans[::-1]), gain).T
            orthogonal("torch", f"orthogonal_(gain={gain})", f"orthogonal:{gain}", fans, w)


def from_keras():
    import keras
    from keras import initializers as k
    from keras.src.initializers import random_initializers as module

    keras.utils.set_random_seed(1)

    def cut_of_the_backend():
        """Where truncated_normal cuts, in standard deviations: Keras leaves it to the backend."""
        import jax

        limits = []

        def recorder(key, lower, upper, shape, dtype):
            limits.append((lower, upper))
            return 0.0

        with mock.patch.object(jax.random, "truncated_normal", recorder):
            keras.src.backend.random.truncated_normal((1,), seed=1)
        ((lower, upper),) = limits
        assert lower == -upper
        return upper

    cut = cut_of_the_backend()

    def record(initializer, fans):
        found = []

        def normal(shape, mean, stddev, **_):
            assert mean == 0
            found.append(("normal", stddev, math.inf))

        def truncated_normal(shape, mean, stddev, **_):
            assert mean == 0
            found.append(("truncated", stddev, cut * stddev))

        def uniform(shape, minval, maxval, **_):
            assert minval == -maxval
            found.append(("uniform", maxval, maxval))

        patches = dict(normal=normal, truncated_normal=truncated_normal, uniform=uniform)
        with mock.patch.multiple(module.random, **patches):
            initializer(fans)
        (one,) = found
        return one

    def scaling(scale, mode, distribution):
        return k.VarianceScaling(scale=scale, mode=mode, distribution=distribution)

    calls = [
        ("RandomNormal(stddev=0.02)", "normal:0.02", k.RandomNormal(stddev=0.02)),
        ("RandomUniform(-0.1,0.1)", "uniform:0.1", k.RandomUniform(-0.1, 0.1)),
        ("TruncatedNormal(stddev=0.02)", "truncated_normal:0.02", k.TruncatedNormal(stddev=0.02)),
        ("GlorotUniform", "glorot_uniform", k.GlorotUniform()),
        ("GlorotNormal", "glorot_truncated_normal", k.GlorotNormal()),
        ("HeUniform", "he_uniform", k.HeUniform()),
        ("HeNormal", "he_truncated_normal", k.HeNormal()),
        ("LecunUniform", "lecun_uniform", k.LecunUniform()),
        ("LecunNormal", "lecun_truncated_normal", k.LecunNormal()),
        (
            "VarianceScaling(4,fan_in,untruncated_normal)",
            "lecun_normal:2",
            scaling(4.0, "fan_in", "untruncated_normal"),
        ),
        (
            "VarianceScaling(2,fan_in,untruncated_normal)",
            "he_normal",
            scaling(2.0, "fan_in", "untruncated_normal"),
        ),
        (
            "VarianceScaling(4,fan_avg,untruncated_normal)",
            "glorot_normal:2",
            scaling(4.0, "fan_avg", "untruncated_normal"),
        ),
        (
            "VarianceScaling(4,fan_avg,truncated_normal)",
            "glorot_truncated_normal:2",
            scaling(4.0, "fan_avg", "truncated_normal"),
        ),
        (
            "VarianceScaling(0.25,fan_avg,uniform)",
            "glorot_uniform:0.5",
            scaling(0.25, "fan_avg", "uniform"),
        ),
    ]
    for call, fanin, initializer in calls:
        for fans in SHAPES:
            found = record(initializer, fans)

            def draw():
                # An initializer of Keras draws the same again: each time a new seed.
                config = initializer.get_config()
                config["seed"] = int(np.random.randint(2**31))
                return type(initializer).from_config(config)(fans)

            law("keras", call, fanin, fans, *found, draw)
    for fans in SHAPES:
        for gain in (1, 1.5):
            w = np.asarray(k.Identity(gain=gain)(fans))
            assert (w == gain * np.eye(*fans)).all()
            print("identity keras", f"Identity(gain={gain})", f"identity:{gain}", *fans, gain)
            w = k.Orthogonal(gain=gain)(fans)
            orthogonal("keras", f"Orthogonal(gain={gain})", f"orthogonal:{gain}", fans, w)


def from_jax():
    import jax
    import jax.numpy as jnp
    from jax._src.nn import initializers as module
    from jax.nn import initializers as j

    jax.config.update("jax_enable_x64", True)
    keys = (jax.random.key(i) for i in range(10**9))

    def record(initializer, fans):
        found = []

        # Each is answered with ones: what comes out is what JAX multiplies by.
        def normal(key, shape, dtype, **_):
            found.append(("normal", math.inf))
            return jnp.ones(shape, dtype)

        def truncated_normal(key, lower, upper, shape, dtype, **_):
            assert lower == -upper
            found.append(("truncated", upper))
            return jnp.ones(shape, dtype)

        def uniform(key, shape, dtype, minval=0.0, maxval=1.0, **_):
            assert minval == -maxval
            found.append(("uniform", maxval))
            return jnp.ones(shape, dtype)

        patches = dict(normal=normal, truncated_normal=truncated_normal, uniform=uniform)
        with mock.patch.multiple(module.random, **patches):
            w = np.asarray(initializer(next(keys), fans, jnp.float64))
        ((kind, limit),) = found
        scale = float(w.flat[0])
        assert (w == scale).all()
        return kind, scale, limit * scale

    calls = [
        ("normal(0.02)", "normal:0.02", j.normal(0.02)),
        ("truncated_normal(0.02)", "truncated_normal:0.02", j.truncated_normal(0.02)),
        ("glorot_uniform", "glorot_uniform", j.glorot_uniform()),
        ("glorot_normal", "glorot_truncated_normal", j.glorot_normal()),
        ("xavier_normal", "xavier_truncated_normal", j.xavier_normal()),
        ("he_uniform", "he_uniform", j.he_uniform()),
        ("he_normal", "he_truncated_normal", j.he_normal()),
        ("kaiming_normal", "kaiming_truncated_normal", j.kaiming_normal()),
        ("lecun_uniform", "lecun_uniform", j.lecun_uniform()),
        ("lecun_normal", "lecun_truncated_normal", j.lecun_normal()),
        (
            "variance_scaling(4,fan_in,normal)",
            "lecun_normal:2",
            j.variance_scaling(4.0, "fan_in", "normal"),
        ),
        (
            "variance_scaling(2,fan_in,normal)",
            "he_normal",
            j.variance_scaling(2.0, "fan_in", "normal"),
        ),
        (
            "variance_scaling(4,fan_avg,normal)",
            "glorot_normal:2",
            j.variance_scaling(4.0, "fan_avg", "normal"),
        ),
        (
            "variance_scaling(0.25,fan_avg,uniform)",
            "glorot_uniform:0.5",
            j.variance_scaling(0.25, "fan_avg", "uniform"),
        ),
    ]
    for call, fanin, initializer in calls:
        for fans in SHAPES:
            found = record(initializer, fans)
            draw = jax.jit(lambda key: initializer(key, fans, jnp.float32))
            law("jax", call, fanin, fans, *found, lambda: draw(next(keys)))
    for fans in SHAPES:
        for gain in (1, 1.5):
            w = j.orthogonal(gain)(next(keys), fans, jnp.float32)
            orthogonal("jax", f"orthogonal({gain})", f"orthogonal:{gain}", fans, w)


{"torch": from_torch, "keras": from_keras, "jax": from_jax}[sys.argv[1]]()
