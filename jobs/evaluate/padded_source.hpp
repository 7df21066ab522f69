#pragma once

#include <cstdint>

#include "caravan/data.hpp"

namespace caravan::jobs {

/// Makes a sample without a label, of tokens of all kinds, so that no expert is chosen by all of them.
void fill_up(const Sample& sample, std::int64_t vocab_size);

/// The first samples of a source, and behind them samples without labels: the last micro-batch may be a part
/// of one. Borrows the source.
class PaddedSource final : public DataSource {
 public:
  PaddedSource(DataSource& source, std::int64_t samples) : source_(source), samples_(samples) {}

  std::int64_t sequence_length() const override { return source_.sequence_length(); }
  std::int64_t samples() const override { return samples_; }
  std::int64_t vocab_size() const override { return source_.vocab_size(); }
  bool has_documents() const override { return source_.has_documents(); }
  void read(std::int64_t index, const Sample& sample) override;
  DataIdentity identity() const override { return source_.identity(); }

 private:
  DataSource& source_;
  std::int64_t samples_;
};

}  // namespace caravan::jobs
