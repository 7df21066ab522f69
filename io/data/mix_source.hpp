#pragma once

#include <array>
#include <string>
#include <vector>

#include "caravan/abi.h"
#include "caravan/config.hpp"
#include "caravan/data.hpp"
#include "caravan/host.hpp"
#include "caravan/registry.hpp"
#include "io/data/mix_order.hpp"

namespace caravan::io {

/// Of a part that names none.
inline constexpr const char* kUsualPartSource = "tokens";

/// Keys of a part that are the mix's; all others are those of the part's own source.
inline constexpr std::array<caravan_param, 2> kMixPartParams{{
    {"weight", "float", nullptr, "", "> 0", "What the part's share of all samples is in proportion to."},
    {"source", "string", kUsualPartSource, "", "", "The part's data source."},
}};

/// Samples of several sources by weight, in the order of MixOrder: sample k of a part is the source's sample
/// k, whichever other parts there are.
class MixSource final : public DataSource {
 public:
  using Interface = DataSource;
  static constexpr const char* kName = "mix";
  static constexpr const char* kSummary = "Samples of several data sources, by weight.";
  static constexpr std::array<caravan_param, 4> kParams{{
      {"parts", "map list", nullptr, "", "",
       "For each part its weight, its source (tokens when it is left out) and the keys of that source, such "
       "as "
       "{weight: 0.7, path: shards}."},
      {"split", "train|validation|all", "train", "", "",
       "The split that is read of every part. A part that holds out nothing is left out of validation."},
      {"sequence_length", "int", nullptr, "tokens", "> 0", "Tokens of a sample; the trainer fills it in."},
      {"seed", "int", "0", "", ">= 0",
       "Of the order of the parts, and of the samples of each; the trainer fills it in."},
  }};

  /// ConfigError and IoError naming the part.
  MixSource(const Host& host, const Config& config);

  std::int64_t sequence_length() const override { return length_; }
  std::int64_t samples() const override { return pass_; }
  std::int64_t vocab_size() const override;
  bool repeats() const override;
  bool has_documents() const override { return has_documents_; }
  /// Of a part without documents a whole sequence is one.
  void read(std::int64_t index, const Sample& sample) override;
  /// Of the parts in their order and of their shares.
  DataIdentity identity() const override;
  std::vector<PartUse> uses(std::int64_t samples) const override;

 private:
  struct Part {
    std::string name;
    double weight;
    Made<DataSource> source;
    DataIdentity identity;
  };
  static std::vector<Part> open_parts(const Host& host, const Config& config);
  static std::vector<double> weights_of(const std::vector<Part>& parts);
  void check_tokenizers() const;
  std::int64_t samples_before_a_second_pass() const;

  std::int64_t length_;
  std::vector<Part> parts_;
  MixOrder order_;
  bool has_documents_ = false;
  std::int64_t pass_ = 0;
};

}  // namespace caravan::io
