#pragma once

#include "tests/fuzz/call.hpp"

/// One file each: tests/fuzz/<name>.cpp; inputs in tests/fuzz/corpus/<name>.
namespace caravan::fuzz {

extern const Target safetensors, safetensors_index, hf_config, yaml_job, schedule_csv, tiktoken,
    tokenizer_json, sentencepiece, pth, pickle, meta_params, manifest, checkpoint, foreign_hdf5,
    shard_manifest, texts, run_metrics;

}  // namespace caravan::fuzz
