#include "jobs/train/batches.hpp"

#include <algorithm>

namespace caravan::jobs {
namespace {

/// `count` neighbours of `values`, the index-th so many.
std::span<std::int32_t> stretch(std::vector<std::int32_t>& values, std::size_t index, std::size_t count) {
  return std::span(values).subspan(index * count, count);
}

}  // namespace

BatchReader::BatchReader(DataSource& source, const BatchShare& share)
    : source_(source), share_(share), length_(static_cast<std::size_t>(source.sequence_length())) {
  const std::size_t own = static_cast<std::size_t>(map(0).length());
  const auto sequences = static_cast<std::size_t>(share.local_batch),
             micro = static_cast<std::size_t>(share.microbatches());
  whole_tokens_.resize(length_);
  whole_labels_.resize(length_);
  tokens_.resize(micro * sequences * own);
  labels_.resize(tokens_.size());
  documents_.resize(source.has_documents() ? micro * sequences * length_ : 0);
  for (std::size_t index = 0; index < micro; ++index) {
    MicroBatch batch;
    batch.tokens = stretch(tokens_, index, sequences * own);
    batch.labels = stretch(labels_, index, sequences * own);
    if (!documents_.empty()) batch.documents = stretch(documents_, index, sequences * length_);
    batches_.push_back(batch);
  }
}

TokenMap BatchReader::map(std::int64_t first_sample) const {
  return share_.token_map(first_sample, static_cast<std::int64_t>(length_));
}

std::span<const MicroBatch> BatchReader::read(std::int64_t cursor, std::int64_t count) {
  const std::int64_t first = share_.first(cursor);
  const auto rows = static_cast<std::size_t>(count * share_.local_batch);
  for (std::size_t row = 0; row < rows; ++row) read_sample(first + static_cast<std::int64_t>(row), row);
  for (std::size_t index = 0; index < batches_.size(); ++index)
    batches_[index].token_map = map(first + static_cast<std::int64_t>(index) * share_.local_batch);
  return std::span(batches_).first(static_cast<std::size_t>(count));
}

void BatchReader::read_sample(std::int64_t index, std::size_t row) {
  Sample sample{whole_tokens_, whole_labels_, {}};
  if (!documents_.empty()) sample.documents = stretch(documents_, row, length_);
  source_.read(index, sample);
  const TokenMap map = this->map(index);
  auto token = stretch(tokens_, row, static_cast<std::size_t>(map.length())).begin();
  auto label = stretch(labels_, row, static_cast<std::size_t>(map.length())).begin();
  for (const PositionRange& range : map.ranges()) {
    token = std::copy(whole_tokens_.begin() + range.begin, whole_tokens_.begin() + range.end, token);
    label = std::copy(whole_labels_.begin() + range.begin, whole_labels_.begin() + range.end, label);
  }
}

}  // namespace caravan::jobs
