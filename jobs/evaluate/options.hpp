#pragma once

#include <cstdint>
#include <string>

#include "io/data/windows.hpp"
#include "jobs/rank_degrees.hpp"
#include "jobs/setup/text_options.hpp"

namespace caravan::jobs {

struct EvaluateOptions {
  std::string model, tokenizer;
  TextOptions data;
  std::string separator = "file", split = "all";
  bool bos = false, eos = false;
  io::WindowOptions windows{};       ///< how a stream is cut; sequence_length 0: as the model was made
  std::int64_t batch = 1;            ///< sequences of a micro-batch
  std::int64_t most_sequences = -1;  ///< measured; -1: all
  bool per_document = false, json = false;
  std::string device = "auto", precision = "auto";
  RankDegrees degrees;
};

}  // namespace caravan::jobs
