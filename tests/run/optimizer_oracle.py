#!/usr/bin/env python3
"""Writes optimizer_oracle.hpp: what four steps make of a few parameters, in Python's own numbers.

    python3 tests/run/optimizer_oracle.py > tests/run/optimizer_oracle.hpp

Formulas: PyTorch's AdamW, Adam and SGD; Chen et al. 2023 for Lion; Jordan et al. 2024 and torch.optim.Muon for
Muon, with Moonshot's factor 0.2 sqrt(max(rows, columns)).
"""
import math

LR, SCALE, STEPS = 0.05, 0.5, 4
# Parameters as their matrices: name, [(rows, columns)], learning-rate factor, weight decay or None.
# "fused" is a projection of two parts, "experts" two experts of two parts each.
PARAMETERS = [
    ("fused", [(5, 4), (3, 4)], 1.0, None),
    ("experts", [(3, 4), (2, 4), (3, 4), (2, 4)], 1.0, None),
    ("bias", [(1, 4)], 1.0, None),
    ("norm", [(1, 4)], 0.5, 0.0),
]
MATRICES = ("fused", "experts")


def weight(i):
    return ((i * 37 + 11) % 101 - 50) / 100


def gradient(i, step):
    return ((i * 53 + step * 29 + 7) % 97 - 48) / 50


class AdamW:
    def __init__(self, beta1, beta2, eps, decay, in_gradient=False):
        self.beta1, self.beta2, self.eps, self.decay, self.in_gradient = beta1, beta2, eps, decay, in_gradient

    def run(self, w, grads, lr, decay):
        decay = self.decay if decay is None else decay
        m, v = [0.0] * len(w), [0.0] * len(w)
        for t, grad in enumerate(grads, 1):
            for i in range(len(w)):
                g = grad[i] + (decay * w[i] if self.in_gradient else 0)
                m[i] = self.beta1 * m[i] + (1 - self.beta1) * g
                v[i] = self.beta2 * v[i] + (1 - self.beta2) * g * g
                if not self.in_gradient:
                    w[i] -= lr * decay * w[i]
                root = math.sqrt(v[i] / (1 - self.beta2**t))
                w[i] -= lr * (m[i] / (1 - self.beta1**t)) / (root + self.eps)


class Sgd:
    def __init__(self, momentum, nesterov, decay):
        self.momentum, self.nesterov, self.decay = momentum, nesterov, decay

    def run(self, w, grads, lr, decay):
        decay = self.decay if decay is None else decay
        b = [0.0] * len(w)
        for grad in grads:
            for i in range(len(w)):
                g = grad[i] + decay * w[i]
                b[i] = self.momentum * b[i] + g
                w[i] -= lr * (g + self.momentum * b[i] if self.nesterov else b[i])


class Lion:
    def __init__(self, beta1, beta2, decay):
        self.beta1, self.beta2, self.decay = beta1, beta2, decay

    def run(self, w, grads, lr, decay):
        decay = self.decay if decay is None else decay
        m = [0.0] * len(w)
        for grad in grads:
            for i in range(len(w)):
                c = self.beta1 * m[i] + (1 - self.beta1) * grad[i]
                w[i] -= lr * (decay * w[i] + (c > 0) - (c < 0))
                m[i] = self.beta2 * m[i] + (1 - self.beta2) * grad[i]


def product(a, b):
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


def transposed(a):
    return [list(row) for row in zip(*a)]


def orthogonalised(x, steps):
    """Newton-Schulz's iteration as it was published: of the matrix with fewer rows than columns."""
    if len(x) > len(x[0]):
        return transposed(orthogonalised(transposed(x), steps))
    norm = max(math.sqrt(sum(v * v for row in x for v in row)), 1e-7)
    x = [[v / norm for v in row] for row in x]
    for _ in range(steps):
        a = product(x, transposed(x))
        aa = product(a, a)
        b = [[-4.7750 * p + 2.0315 * q for p, q in zip(r, s)] for r, s in zip(a, aa)]
        x = [[3.4445 * p + q for p, q in zip(r, s)] for r, s in zip(x, product(b, x))]
    return x


class Muon:
    def __init__(self, matches_adamw, nesterov, decay):
        self.matches_adamw, self.nesterov, self.decay = matches_adamw, nesterov, decay

    def run_matrix(self, w, grads, shape, lr):
        rows, columns = shape
        b = [0.0] * len(w)
        for grad in grads:
            u = []
            for i in range(len(w)):
                b[i] = 0.95 * b[i] + 0.05 * grad[i]
                u.append(0.95 * b[i] + 0.05 * grad[i] if self.nesterov else b[i])
            x = orthogonalised([u[r * columns:(r + 1) * columns] for r in range(rows)], 5)
            by = 0.2 * math.sqrt(max(rows, columns)) if self.matches_adamw else math.sqrt(max(1, rows / columns))
            for i in range(len(w)):
                w[i] -= lr * self.decay * w[i] + lr * by * x[i // columns][i % columns]


CASES = {
    "adamw": AdamW(0.9, 0.95, 1e-8, 0.1),
    "adam": AdamW(0.9, 0.999, 1e-8, 0.2, in_gradient=True),
    "sgd": Sgd(0, False, 0.1),
    "sgd_momentum": Sgd(0.9, False, 0),
    "sgd_nesterov": Sgd(0.9, True, 0.1),
    "lion": Lion(0.9, 0.99, 0.3),
    "muon": Muon(True, True, 0.1),
    "muon_original": Muon(False, False, 0),
}


def values(rule):
    after, first = [], 0
    for name, shapes, factor, decay in PARAMETERS:
        for shape in shapes:
            count = shape[0] * shape[1]
            w = [weight(first + i) for i in range(count)]
            grads = [[SCALE * gradient(first + i, step) for i in range(count)] for step in range(1, STEPS + 1)]
            if isinstance(rule, Muon) and name in MATRICES:
                rule.run_matrix(w, grads, shape, LR * factor)
            elif isinstance(rule, Muon):
                AdamW(0.9, 0.95, 1e-8, rule.decay).run(w, grads, LR * factor, decay)
            else:
                rule.run(w, grads, LR * factor, decay)
            after += w
            first += count
    return after


print("#pragma once\n")
print("#include <map>\n#include <string>\n#include <vector>\n")
print("// Written by optimizer_oracle.py: weights after four steps, by case.")
print("namespace caravan::testing {\n")
print("inline const std::map<std::string, std::vector<double>> kOptimizerOracle{")
for name, rule in CASES.items():
    print(f'    {{"{name}",\n     {{{", ".join(f"{value:.9g}" for value in values(rule))}}}}},')
print("};\n")
print("}  // namespace caravan::testing")
