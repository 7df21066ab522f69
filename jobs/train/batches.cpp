#include "jobs/train/batches.hpp"

namespace caravan::jobs {

BatchReader::BatchReader(DataSource& source, const BatchShare& share)
    : source_(source), share_(share), length_(static_cast<std::size_t>(source.sequence_length())) {
  const auto rows = static_cast<std::size_t>(share.microbatches() * share.local_batch);
  tokens_.resize(rows * length_);
  labels_.resize(rows * length_);
  documents_.resize(source.has_documents() ? rows * length_ : 0);
  const std::size_t micro = static_cast<std::size_t>(share.local_batch) * length_;
  for (std::size_t index = 0; index < static_cast<std::size_t>(share.microbatches()); ++index) {
    MicroBatch batch;
    batch.tokens = std::span(tokens_).subspan(index * micro, micro);
    batch.labels = std::span(labels_).subspan(index * micro, micro);
    if (!documents_.empty()) batch.documents = std::span(documents_).subspan(index * micro, micro);
    batches_.push_back(batch);
  }
}

std::span<const MicroBatch> BatchReader::read(std::int64_t cursor, std::int64_t count) {
  const std::int64_t first = share_.first(cursor);
  const auto rows = static_cast<std::size_t>(count * share_.local_batch);
  for (std::size_t row = 0; row < rows; ++row) {
    Sample sample{std::span(tokens_).subspan(row * length_, length_),
                  std::span(labels_).subspan(row * length_, length_),
                  {}};
    if (!documents_.empty()) sample.documents = std::span(documents_).subspan(row * length_, length_);
    source_.read(first + static_cast<std::int64_t>(row), sample);
  }
  for (std::size_t index = 0; index < batches_.size(); ++index) {
    batches_[index].token_map = TokenMap::whole(first + static_cast<std::int64_t>(index) * share_.local_batch,
                                                static_cast<std::int64_t>(length_));
  }
  return std::span(batches_).first(static_cast<std::size_t>(count));
}

}  // namespace caravan::jobs
