"""Times a step in caravan and, as its --peer says, in PyTorch: both must have the same parameters and tokens.

usage: peer_step.py CARAVAN SOURCE   (SOURCE: the folder that has docs/peers)
Ends with 77, which skips the test, where torch is not installed."""

import json
import os
import re
import subprocess
import sys
import tempfile


def run(command, **keywords):
    return subprocess.run(command, check=True, timeout=300, capture_output=True, text=True, **keywords).stdout


def parameters_of(text):
    return int(re.search(r"([\d,]+) parameters", text)[1].replace(",", ""))


def main(caravan, source):
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "step.json")
        step = [caravan, "bench", "step", "--device", "host", "--sequence", "32", "--batch", "2", "--repeats", "1",
                "--peer", file, "dim=64", "layers=4", "heads=4", "kv_heads=2", "vocab_size=128"]
        own = run(step)
        command = re.search(r"^peer +(.*)$", own, re.MULTILINE)[1].split()
        with open(file, encoding="utf-8") as described:
            job = json.load(described)
        assert (job["sequences"], job["sequence_length"]) == (2, 32), job
        assert [layer["layer"] for layer in job["layers"]] == ["embedding"] + ["attention", "feed_forward", "attention", "moe"] * 2 + ["head"]
        assert command[1] == "docs/peers/torch_step.py" and command[2] == file, command
        command.remove("--compile")  # which takes longer than the rest of this test
        done = subprocess.run(command + ["--repeats", "1"], cwd=source, timeout=300, capture_output=True, text=True)
        if done.returncode == 77:
            print(done.stderr.strip() + ": skipped")
            return 77
        assert done.returncode == 0, done.stderr
        assert parameters_of(done.stdout) == parameters_of(own), (done.stdout, own)
        assert "tokens/s" in done.stdout, done.stdout
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
