#pragma once

#include <string>

#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/report.hpp"
#include "jobs/setup/text_options.hpp"

namespace caravan::jobs {

/// The command line of `caravan data inspect`, parsed.
struct DataInspectOptions {
  TextOptions
      text;  ///< its inputs: a folder of token shards, one shard, or texts as `data prepare` takes them
  std::string separator = "file";
  std::string tokenizer;  ///< empty: the one beside token shards, none for texts
  int documents = 3;      ///< that are shown, the first ones
  bool is_decoded = false;
};

/// How many documents there are, how long they are, and the first of them: tokens as ids or decoded, texts as
/// they are, or as tokens where a tokenizer is given. Reads all of a text once. ConfigError where tokens are
/// to be decoded without a tokenizer, or with another one than theirs.
Report data_view(const DataInspectOptions& options, const TextStyle& style);

}  // namespace caravan::jobs
