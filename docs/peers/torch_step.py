#!/usr/bin/env python3
"""Times training steps of a model in PyTorch: the step that `caravan bench step --peer FILE` has described.

The same layers, widths, sequences and numbers of tokens; AdamW, clipping of the gradients' norm, random tokens. Experts
are products of the rows that chose each of them. Attention is torch's own scaled_dot_product_attention. What the file asks
for and this script has not is refused. Prints the median of the steps, tokens/s and the version of torch.
"""

import argparse
import json
import statistics
import sys
import time

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError:
    print("torch_step.py: PyTorch is not installed (pip install torch)", file=sys.stderr)
    sys.exit(77)


def refuse_unless(keys, allowed):
    """Keys of a layer that this script only knows with these values."""
    for key, values in allowed.items():
        if keys.get(key) not in values:
            sys.exit(f"torch_step.py: {key}: {keys[key]} (this script has {values}). Another model?")


class RotatedAttention(nn.Module):
    def __init__(self, keys):
        super().__init__()
        refuse_unless(keys, {"lora": [None], "chunk_size": [None, 0], "qk_norm": [None, False], "attention_dropout": [None, 0]})
        self.heads, self.kv_heads, self.width = keys["heads"], keys["kv_heads"], keys["head_dim"]
        self.norm = nn.RMSNorm(keys["dim"], eps=keys["norm_eps"])
        self.wq = nn.Linear(keys["dim"], self.heads * self.width, bias=False)
        self.wk = nn.Linear(keys["dim"], self.kv_heads * self.width, bias=False)
        self.wv = nn.Linear(keys["dim"], self.kv_heads * self.width, bias=False)
        self.wo = nn.Linear(self.heads * self.width, keys["dim"], bias=False)
        self.rotates, self.theta = keys["rope"], keys["rope_theta"]

    def rotate(self, x):
        if not self.rotates:
            return x
        half = self.width // 2
        frequencies = self.theta ** (-torch.arange(half, dtype=torch.float32) / half)
        angles = torch.outer(torch.arange(x.shape[1], dtype=torch.float32), frequencies)
        cos, sin = angles.cos()[None, :, None, :], angles.sin()[None, :, None, :]
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

    def forward(self, x):
        batch, length, _ = x.shape
        normed = self.norm(x)
        q = self.rotate(self.wq(normed).view(batch, length, self.heads, self.width))
        k = self.rotate(self.wk(normed).view(batch, length, self.kv_heads, self.width))
        v = self.wv(normed).view(batch, length, self.kv_heads, self.width)
        repeat = self.heads // self.kv_heads
        k, v = (t.repeat_interleave(repeat, 2) if repeat > 1 else t for t in (k, v))
        out = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        return x + self.wo(out.transpose(1, 2).reshape(batch, length, -1))


class SwiGlu(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.w1, self.w3 = nn.Linear(dim, hidden, bias=False), nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class FeedForward(nn.Module):
    def __init__(self, keys):
        super().__init__()
        refuse_unless(keys, {"lora": [None], "dropout": [None, 0]})
        self.norm = nn.RMSNorm(keys["dim"], eps=keys["norm_eps"])
        self.inner = SwiGlu(keys["dim"], keys["hidden"])

    def forward(self, x):
        return x + self.inner(self.norm(x))


class Experts(nn.Module):
    """Top-k of sigmoid or softmax scores, which weigh the rows before or after the expert alike in cost."""

    def __init__(self, keys):
        super().__init__()
        refuse_unless(keys, {"lora": [None], "dropout": [None, 0], "groups": [None, 0], "noisy": [None, False],
                             "capacity_factor": [None], "balance_loss": [None, 0]})
        dim, hidden = keys["dim"], keys["hidden"]
        self.top_k, self.score, self.count = keys["top_k"], keys["score"], keys["experts"]
        self.norm = nn.RMSNorm(dim, eps=keys["norm_eps"])
        self.router = nn.Linear(dim, self.count, bias=False)
        self.experts = nn.ModuleList(SwiGlu(dim, hidden) for _ in range(self.count))
        self.shared = SwiGlu(dim, keys["shared_hidden"]) if keys["shared_hidden"] else None

    def scores_of(self, logits):
        return torch.sigmoid(logits) if self.score == "sigmoid" else torch.softmax(logits, -1)

    def forward(self, x):
        rows = self.norm(x).flatten(0, 1)
        scores, chosen = torch.topk(self.scores_of(self.router(rows)), self.top_k, -1)
        order = torch.argsort(chosen.flatten(), stable=True)
        counts = torch.bincount(chosen.flatten(), minlength=self.count).tolist()
        token = order // self.top_k
        sent = (rows[token] * scores.flatten()[order, None]).split(counts)
        back = torch.cat([expert(part) for expert, part in zip(self.experts, sent)])
        out = self.shared(rows) if self.shared else torch.zeros_like(rows)
        return x + out.index_add(0, token, back).view_as(x)


class Head(nn.Module):
    def __init__(self, keys):
        super().__init__()
        refuse_unless(keys, {"tied": [None, False], "bias": [None, False]})
        self.norm = nn.RMSNorm(keys["dim"], eps=keys["norm_eps"])
        self.output = nn.Linear(keys["dim"], keys["vocab_size"], bias=False)

    def forward(self, x):
        return self.output(self.norm(x))


class Embedding(nn.Module):
    def __init__(self, keys):
        super().__init__()
        refuse_unless(keys, {"sinusoidal": [None, False], "dropout": [None, 0]})
        self.table = nn.Embedding(keys["vocab_size"], keys["dim"])

    def forward(self, tokens):
        return self.table(tokens)


LAYERS = {"embedding": Embedding, "attention": RotatedAttention, "feed_forward": FeedForward, "moe": Experts, "head": Head}


def build(layers):
    for layer in layers:
        if layer["layer"] not in LAYERS:
            sys.exit(f"torch_step.py: a layer '{layer['layer']}' (this script has {', '.join(LAYERS)}). Another model?")
    model = nn.Sequential(*(LAYERS[layer["layer"]](layer["keys"]) for layer in layers))
    for weight in model.parameters():
        if weight.dim() > 1:
            nn.init.trunc_normal_(weight, std=0.02)
    return model


def train(model, job, repeats):
    """Seconds of each step, the first two left out, and the last loss."""
    vocabulary = job["layers"][0]["keys"]["vocab_size"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    shape = (job["sequences"], job["sequence_length"] + 1)
    seconds = []
    for _ in range(repeats + 2):
        tokens = torch.randint(0, vocabulary, shape)
        start = time.perf_counter()
        logits = model(tokens[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), job["max_norm"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
    return seconds[2:], loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="of `caravan bench step --peer FILE`")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--compile", action="store_true", help="also through torch.compile")
    parser.add_argument("--repeats", type=int, default=7, help="steps that are timed")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    with open(options.file, encoding="utf-8") as file:
        job = json.load(file)
    model = build(job["layers"])
    parameters = sum(weight.numel() for weight in model.parameters())
    print(f"torch     {torch.__version__}, {options.threads} threads: {parameters:,} parameters")
    for name, timed in [("eager", model)] + ([("compiled", torch.compile(model))] if options.compile else []):
        seconds, loss = train(timed, job, options.repeats)
        median = statistics.median(seconds)
        tokens = job["sequences"] * job["sequence_length"]
        print(f"{name:9} median {median:.4f} s of {options.repeats}, {tokens / median:.0f} tokens/s, loss {loss:.3f}")


if __name__ == "__main__":
    main()
