#pragma once

#include "caravan/host.hpp"
#include "io/data/join_params.hpp"
#include "io/data/windows.hpp"

namespace caravan::io {

/// The token shards that `caravan data prepare` wrote, read as they are needed.
class ShardSource final : public WindowSource {
 public:
  using Interface = DataSource;
  static constexpr const char* kName = "tokens";
  static constexpr const char* kSummary = "HDF5 token shards, as caravan data prepare writes them.";
  static constexpr auto kParams =
      join_params(std::array<caravan_param, 2>{{
                      {"path", "path", nullptr, "", "", "The folder of the shards."},
                      {"tokenizer", "path", "null", "", "",
                       "The tokenizer's file; when given, the shards must have been made with it."},
                  }},
                  kWindowParams);

  ShardSource(const Host& host, const Config& config);
  /// The tokenizer beside the shards, or the one that the job names.
  DataIdentity identity() const override;

 private:
  std::string named_tokenizer_;
};

}  // namespace caravan::io
