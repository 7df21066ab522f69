#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/safetensors/reader.hpp"

namespace caravan::jobs {

/// Sequences of equal length. labels[b, t] is what should follow token t, kIgnoredLabel where nothing counts.
struct Sequences {
  std::int64_t count = 0, length = 0;
  std::vector<std::int32_t> tokens;          ///< [B·T]
  std::vector<std::int32_t> labels;          ///< [B·T]; none counts after a masked token
  std::vector<bool> attended = {};           ///< [B·T], or empty: every token
  std::vector<std::int64_t> positions = {};  ///< [B·T], or empty: 0 to T-1

  bool has_labels = false;  ///< else each token's label is the token after it

  /// By the place among [B·T].
  bool attends(std::int64_t token) const {
    return attended.empty() || attended[static_cast<std::size_t>(token)];
  }
  bool attends(std::int64_t sequence, std::int64_t token) const { return attends(sequence * length + token); }
};

/// Reads a safetensors file as transformers reads its arguments: input_ids [B, T], perhaps labels [B, T]
/// (aligned with the tokens; absent: the tokens themselves, where nothing is masked), attention_mask [B, T]
/// of 0 and 1, position_ids [B, T] or [1, T]. IoError with the place for values outside the vocabulary,
/// labels that a masked token would have to predict, and unknown tensors; what forward itself writes is
/// passed over.
Sequences read_sequences(const std::string& path, std::int64_t vocab);

/// IoError unless two files have the same of what read_sequences reads: the same tensors, shapes and values.
void check_same_inputs(const io::SafetensorsFile& a, const io::SafetensorsFile& b);

}  // namespace caravan::jobs
