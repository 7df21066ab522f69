"""Opens what `caravan convert` writes in transformers and compares logits with the reference's.

usage: open_in_transformers.py CARAVAN MODELS   (MODELS: a folder with tiny_scout and tiny_maverick)
Ends with 77, which skips the test, where transformers with Llama 4 is not installed."""

import os
import subprocess
import sys
import tempfile

TOLERANCE = 1e-5


def convert(caravan, source, destination, form):
    subprocess.run([caravan, "convert", source, destination, "--to", form], check=True, timeout=120,
                   stdout=subprocess.DEVNULL)


def largest_difference(folder, expected):
    import torch
    from safetensors.torch import load_file
    from transformers import Llama4ForCausalLM

    model = Llama4ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    answers = load_file(expected)
    with torch.no_grad():
        logits = model(answers["input_ids"].long()).logits
    return (logits - answers["logits"]).abs().max().item()


def main(caravan, models):
    try:
        from transformers import Llama4ForCausalLM  # noqa: F401
        import safetensors.torch  # noqa: F401
    except ImportError as missing:
        print(f"skipped: {missing}")
        return 77
    failures = 0
    for name in ("tiny_scout", "tiny_maverick"):
        source = os.path.join(models, name)
        with tempfile.TemporaryDirectory() as work:
            checkpoint, back = os.path.join(work, "checkpoint"), os.path.join(work, "hf")
            convert(caravan, source, checkpoint, "hdf5")
            convert(caravan, checkpoint, back, "hf")
            off = largest_difference(back, os.path.join(source, "expected_outputs.safetensors"))
        print(f"{name}: logits differ by {off:.2e} at most (bar: {TOLERANCE:.0e})")
        failures += not off <= TOLERANCE
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
