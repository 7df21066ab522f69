#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "caravan/data.hpp"
#include "io/data/token_stream.hpp"

namespace caravan::jobs {

/// Every document by itself: no token sees another document, and every token but its first is predicted once.
/// A longer document is cut into sequences that begin without what came before; what a sequence has no token
/// for is filled up, and does not count.
class DocumentSource final : public DataSource {
 public:
  /// Sequences have `most_length` tokens, or as many as the longest document needs and at least
  /// `least_length`. IoError where no document has two tokens.
  DocumentSource(std::unique_ptr<io::TokenStream> stream, std::int64_t most_length,
                 std::int64_t least_length);

  std::int64_t sequence_length() const override { return length_; }
  std::int64_t samples() const override { return static_cast<std::int64_t>(pieces_.size()); }
  bool repeats() const override { return false; }
  std::int64_t vocab_size() const override { return stream_->vocab_size(); }
  bool has_documents() const override { return false; }
  void read(std::int64_t index, const Sample& sample) override;
  DataIdentity identity() const override { return stream_->identity(); }

  std::int64_t documents() const noexcept { return static_cast<std::int64_t>(begins_.size()); }
  /// Tokens of a document, its first one too.
  std::int64_t tokens_of(std::int64_t document) const;
  std::int64_t document_of(std::int64_t sample) const {
    return pieces_[static_cast<std::size_t>(sample)].document;
  }

 private:
  struct Piece {
    std::int64_t document, begin, labels;
  };
  std::int64_t longest() const;

  std::unique_ptr<io::TokenStream> stream_;
  std::vector<std::int64_t> begins_;
  std::vector<Piece> pieces_;
  std::int64_t length_ = 0;
};

}  // namespace caravan::jobs
