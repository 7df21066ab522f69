#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "jobs/bench/profile.hpp"

namespace caravan::jobs {

/// What to time: decoding of a model with random weights, greedy.
struct DecodeBenchmark {
  Config model;  ///< section of a job file
  std::string device = "auto", precision = "auto";
  std::vector<std::int64_t> batches;    ///< sequences at a time, one measurement each
  std::int64_t context = 1024;          ///< positions that each has when the timing begins
  std::int64_t steps = 64, warmup = 4;  ///< of one token a sequence
  int profiled = 0;                     ///< steps that are recorded after those that are timed
  bool forward = false;                 ///< also time training's forward pass of as many tokens
};

/// Of one number of sequences.
struct DecodeTiming {
  std::int64_t batch = 0;
  double step_s = 0;         ///< median of a step
  double step_bytes = 0;     ///< that a step must read where routing is even
  double read_rate = 0;      ///< [bytes/s] of this machine at so many bytes, the best before and after
  double first_token_s = 0;  ///< of one prompt of `context` tokens: the time to its first token
  double prefill_s = 0;      ///< of the prompts of all sequences
  double prefill_flops = 0;
  double forward_s = 0;  ///< of a forward pass of the same tokens as training makes it; 0: not timed
  Profile profile;       ///< of the recorded steps
  double tokens_per_s() const { return static_cast<double>(batch) / step_s; }
  double share_of_limit() const { return step_bytes / read_rate / step_s; }
};

struct DecodeTimings {
  std::string device, precision;
  std::int64_t parameters = 0;
  std::vector<DecodeTiming> batches;
};

/// Bytes that must be read are those of all weights but rows of the embedding that no token looks up and
/// experts that no token chooses where all are as likely, and of the keys and values that the sequences see.
DecodeTimings time_decoding(const DecodeBenchmark& benchmark);

}  // namespace caravan::jobs
