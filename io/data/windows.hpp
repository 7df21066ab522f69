#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "caravan/abi.h"
#include "caravan/config.hpp"
#include "caravan/data.hpp"
#include "io/data/permutation.hpp"
#include "io/data/token_stream.hpp"

namespace caravan::io {

/// The part of the stream that a source gives; validation is its tail, so that it is never trained on.
enum class Split { train, validation, all };
enum class Order { sequential, shuffled };

struct WindowOptions {
  std::int64_t sequence_length = 0;
  Split split = Split::train;
  double validation_fraction = 0;
  Order order = Order::sequential;
  std::uint64_t seed = 0;
  bool document_mask = false;         ///< fills Sample::documents
  bool ignore_border_labels = false;  ///< a label that begins a document becomes -100
};

/// What every source made of windows accepts.
inline constexpr std::array<caravan_param, 7> kWindowParams{{
    {"sequence_length", "int", nullptr, "tokens", "> 0", "Tokens of a sample; the trainer fills it in."},
    {"seed", "int", "0", "", ">= 0", "Of the order of the samples; the trainer fills it in."},
    {"split", "train|validation|all", "train", "", "",
     "The part that is read; validation is the tail of the tokens."},
    {"validation_fraction", "float", "0", "", "[0, 1)", "How much of the tokens validation holds out."},
    {"shuffle", "bool", "true", "", "",
     "Another order of the samples in every pass; false reads them as they stand."},
    {"document_mask", "bool", "false", "", "", "Tokens see those of their own document only."},
    {"ignore_border_labels", "bool", "false", "", "",
     "The last token of a document need not predict the next document."},
}};
WindowOptions window_options(const Config& config);

/// Concatenated documents cut into windows of S + 1 tokens without overlap: the first S are the tokens of a
/// sample, the last S its labels. What is left at the end of the split is not used.
class WindowSource : public DataSource {
 public:
  /// ConfigError when the split is too short for one window.
  WindowSource(std::unique_ptr<TokenStream> stream, const WindowOptions& options);

  std::int64_t sequence_length() const override { return options_.sequence_length; }
  std::int64_t samples() const override { return samples_; }
  std::int64_t vocab_size() const override { return stream_->vocab_size(); }
  bool has_documents() const override { return options_.document_mask; }
  void read(std::int64_t index, const Sample& sample) override;
  DataIdentity identity() const override { return stream_->identity(); }
  /// Tokens at the end of the split that are in no window.
  std::int64_t left_over() const noexcept { return left_over_; }

 private:
  void mark_documents(std::int64_t begin, const Sample& sample) const;

  std::unique_ptr<TokenStream> stream_;
  WindowOptions options_;
  std::int64_t first_token_ = 0;
  std::int64_t samples_ = 0;
  std::int64_t left_over_ = 0;
  Permutation order_;
};

}  // namespace caravan::io
