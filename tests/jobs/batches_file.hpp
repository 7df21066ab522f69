#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/safetensors/writer.hpp"

namespace caravan::test {

/// Rows of tokens with labels, as another program would write them for `data: {source: safetensors}`.
struct Batches {
  std::int64_t rows = 0, length = 0;
  std::vector<std::int64_t> tokens;  ///< [rows, length]
  std::vector<std::int64_t> labels;  ///< [rows, length]

  /// Ids below `vocab` from a fixed rule. About a fifth of the labels is ignored, and all of them in row 2.
  Batches(std::int64_t num_rows, std::int64_t row_length, std::int64_t vocab)
      : rows(num_rows), length(row_length) {
    std::uint64_t state = 12345;
    const auto draw = [&](std::uint64_t below) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      return static_cast<std::int64_t>((state >> 33) % below);
    };
    for (std::int64_t at = 0; at < rows * length; ++at) {
      tokens.push_back(draw(static_cast<std::uint64_t>(vocab)));
      const std::int64_t label = draw(static_cast<std::uint64_t>(vocab));
      labels.push_back(draw(5) == 0 || at / length == 2 ? -100 : label);
    }
  }
  void write(const std::string& path) {
    io::SafetensorsWriter writer(path);
    writer.add("tokens", TensorView(tokens.data(), DType::i64, {rows, length}));
    writer.add("labels", TensorView(labels.data(), DType::i64, {rows, length}));
    writer.commit();
  }
};

}  // namespace caravan::test
