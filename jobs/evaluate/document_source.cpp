#include "jobs/evaluate/document_source.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "jobs/evaluate/padded_source.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {

DocumentSource::DocumentSource(std::unique_ptr<io::TokenStream> stream, std::int64_t most_length,
                               std::int64_t least_length)
    : stream_(std::move(stream)) {
  const auto starts = stream_->document_starts();
  if (stream_->size() > 0 && (starts.empty() || starts.front() > 0)) begins_.push_back(0);
  begins_.insert(begins_.end(), starts.begin(), starts.end());
  CARAVAN_CHECK(longest() > 1, IoError,
                fmt::format("{} with {} in all (a token is predicted from one before it in its document). "
                            "Documents with two, or --bos?",
                            counted(documents(), "document"), counted(stream_->size(), "token")));
  length_ = std::min(most_length, std::max(longest() - 1, least_length));
  for (std::int64_t document = 0; document < documents(); ++document) {
    const std::int64_t begin = begins_[static_cast<std::size_t>(document)], labels = tokens_of(document) - 1;
    for (std::int64_t at = 0; at < labels; at += length_)
      pieces_.push_back({document, begin + at, std::min(length_, labels - at)});
  }
}

std::int64_t DocumentSource::tokens_of(std::int64_t document) const {
  const auto at = static_cast<std::size_t>(document);
  return (at + 1 < begins_.size() ? begins_[at + 1] : stream_->size()) - begins_[at];
}

std::int64_t DocumentSource::longest() const {
  std::int64_t longest = 0;
  for (std::int64_t document = 0; document < documents(); ++document)
    longest = std::max(longest, tokens_of(document));
  return longest;
}

void DocumentSource::read(std::int64_t index, const Sample& sample) {
  const Piece& piece = pieces_.at(static_cast<std::size_t>(index));
  fill_up(sample, vocab_size());
  const auto labels = static_cast<std::size_t>(piece.labels);
  stream_->read(piece.begin, sample.tokens.first(labels));
  stream_->read(piece.begin + 1, sample.labels.first(labels));
}

}  // namespace caravan::jobs
