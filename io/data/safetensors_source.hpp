#pragma once

#include <array>
#include <vector>

#include "caravan/abi.h"
#include "caravan/config.hpp"
#include "caravan/data.hpp"
#include "caravan/host.hpp"

namespace caravan::io {

/// Batches that another program wrote: `tokens` [..., T+1], or [..., T] with `labels` [..., T]; whole
/// numbers. A sample is a row; rows count over all leading axes, the last of them fastest ([step, micro, B]
/// gives step first).
class SafetensorsSource final : public DataSource {
 public:
  using Interface = DataSource;
  static constexpr const char* kName = "safetensors";
  static constexpr const char* kSummary =
      "Rows of tokens, and labels if there are any, from a safetensors file.";
  static constexpr std::array<caravan_param, 4> kParams{{
      {"path", "path", nullptr, "", "",
       "The file; its tensors tokens and labels are read. labels[t] is what follows tokens[t]."},
      {"wrap", "bool", "false", "", "", "Begin again after the last row; without it reading on is an error."},
      {"sequence_length", "int", nullptr, "tokens", "> 0", "Tokens of a sample; the trainer fills it in."},
      {"seed", "int", "0", "", ">= 0", "Not used: rows are read as they stand."},
  }};

  SafetensorsSource(const Host& host, const Config& config);

  std::int64_t sequence_length() const override { return length_; }
  std::int64_t samples() const override { return rows_; }
  std::int64_t vocab_size() const override { return vocab_size_; }
  bool repeats() const override { return wraps_; }
  bool has_documents() const override { return false; }
  void read(std::int64_t index, const Sample& sample) override;
  DataIdentity identity() const override;

 private:
  void warn_of_unshifted_labels() const;

  std::string path_;
  bool wraps_;
  std::int64_t length_, rows_ = 0, vocab_size_ = 0;
  std::int64_t row_tokens_ = 0;       // T, or T + 1
  std::vector<std::int32_t> tokens_;  // [rows, row_tokens]
  std::vector<std::int32_t> labels_;  // [rows, T], or empty
};

}  // namespace caravan::io
