#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "caravan/check.hpp"
#include "caravan/data.hpp"
#include "caravan/plugin.hpp"
#include "caravan/random.hpp"

namespace caravan {
namespace {

/// Uniform random tokens: element (sample, place) of one stream, so that any rank draws any sample alike.
class Synthetic final : public DataSource {
 public:
  using Interface = DataSource;
  static constexpr const char* kName = "synthetic";
  static constexpr const char* kSummary = "Random tokens, for tests and measurements without data.";
  static constexpr caravan_param kParams[] = {
      {"vocab_size", "int", nullptr, "", "[1, 2147483646]", "Ids are drawn from 0 to vocab_size - 1."},
      {"samples", "int", "0", "", ">= 0", "Samples of one pass; 0: endless, every sample is another one."},
      {"document_length", "int", "0", "tokens", ">= 0",
       "Documents of this many tokens, as a mask; 0: no mask."},
      {"split", "train|validation", "train", "", "", "Validation draws from another stream."},
      {"sequence_length", "int", nullptr, "tokens", "[1, 16777216]",
       "Tokens of a sample; the trainer fills it in."},
      {"seed", "int", "0", "", ">= 0", "Of the tokens; the trainer fills it in."},
  };

  Synthetic(const Host&, const Config& config)
      : vocab_size_(config.get_int("vocab_size")),
        samples_(config.get_int("samples")),
        document_length_(config.get_int("document_length")),
        sequence_length_(config.get_int("sequence_length")),
        key_{static_cast<std::uint64_t>(config.get_int("seed")),
             hash_name("synthetic " + config.get_string("split"))} {}

  std::int64_t sequence_length() const override { return sequence_length_; }
  std::int64_t samples() const override { return samples_; }
  std::int64_t vocab_size() const override { return vocab_size_; }
  bool has_documents() const override { return document_length_ > 0; }

  void read(std::int64_t index, const Sample& sample) override {
    CARAVAN_CHECK(index >= 0, IoError, "there is no sample " + std::to_string(index));
    CARAVAN_EXPECT(sample.tokens.size() == static_cast<std::size_t>(sequence_length_));
    const std::int64_t row = samples_ > 0 ? index % samples_ : index;
    sample.tokens[0] = draw(row, 0);
    for (std::int64_t t = 0; t < sequence_length_; ++t)
      sample.labels[static_cast<std::size_t>(t)] = draw(row, t + 1);
    std::copy_n(sample.labels.begin(), sample.labels.size() - 1, sample.tokens.begin() + 1);
    for (std::int64_t t = 0; has_documents() && t < sequence_length_; ++t)
      sample.documents[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(t / document_length_);
  }

  /// The generator and what it is asked for stand for the tokens.
  DataIdentity identity() const override {
    const std::string what = "philox " + std::to_string(vocab_size_) + " " + std::to_string(samples_) + " " +
                             std::to_string(document_length_);
    std::array<char, 16> digits;
    char* const end = std::to_chars(digits.begin(), digits.end(), hash_name(what), 16).ptr;
    return {"fnv1a:" + std::string(digits.begin(), end), "", "", 0};
  }

 private:
  /// Multiplies instead of dividing: a bias below vocab_size / 2^32 is far below what a test could see.
  std::int32_t draw(std::int64_t row, std::int64_t place) const {
    const auto column = static_cast<std::uint64_t>(place);
    const std::uint64_t bits = philox(key_, static_cast<std::uint64_t>(row), column / 4)[column % 4];
    return static_cast<std::int32_t>(bits * static_cast<std::uint64_t>(vocab_size_) >> 32);
  }

  std::int64_t vocab_size_, samples_, document_length_, sequence_length_;
  RandomKey key_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("data-synthetic", CARAVAN_VERSION, "Apache-2.0",
               "Random tokens from a counter-based generator.", caravan::component<caravan::Synthetic>());
