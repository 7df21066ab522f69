#include "jobs/identity/agree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "caravan/check.hpp"
#include "io/files/digest.hpp"
#include "jobs/identity/differences.hpp"
#include "jobs/setup/gather.hpp"
#include "jobs/setup/machine.hpp"

namespace caravan::jobs {
namespace {

constexpr std::size_t kMostKeys = 12;

bool is_equal_everywhere(Communicator& world, const std::string& text) {
  const std::uint64_t digest = io::digest_of(std::as_bytes(std::span(text)));
  // Without its top bit, so that the negative of the largest is the smallest of all.
  std::int64_t ends[2] = {static_cast<std::int64_t>(digest >> 1), -static_cast<std::int64_t>(digest >> 1)};
  world.all_reduce(TensorView(ends, DType::i64, {2}), ReduceOp::max);
  return ends[0] == -ends[1];
}

/// "rank 1 has train.lr=2e-3, rank 0 has 1e-3; …"
std::string difference(const std::string& zero, const std::string& other, std::size_t rank) {
  const auto keys = differences_of(Config::parse(zero), Config::parse(other));
  std::string text;  // empty when only the writing differs: 1e-3 and 0.001
  for (std::size_t i = 0; i < std::min(keys.size(), kMostKeys); ++i) {
    text += fmt::format("{}rank {} has {}={}, rank 0 has {}", i == 0 ? "" : "; ", rank, keys[i].key,
                        keys[i].second, keys[i].first);
  }
  return text + (keys.size() > kMostKeys ? "; and more" : "");
}

/// [collective] What the first rank that differs has otherwise than rank 0; empty when all have the same.
std::string disagreement(Communicator& world, const Config& mine) {
  const std::string text = mine.to_yaml();
  if (world.size() == 1 || is_equal_everywhere(world, text)) return "";
  const auto texts = gather_texts(world, text);
  std::string found;
  for (std::size_t rank = 1; rank < texts.size() && found.empty(); ++rank)
    if (texts[rank] != texts[0]) found = difference(texts[0], texts[rank], rank);
  return broadcast_text(world, found);
}

}  // namespace

void agree_on_job(Communicator& world, const Config& resolved) {
  const std::string difference = disagreement(world, resolved);
  CARAVAN_CHECK(
      difference.empty(), ConfigError,
      fmt::format("ranks disagree on the job: {} (all must run the same one). Is the same job file, "
                  "and the same installation, on every node?",
                  difference));
}

DataIdentity agree_on_data(Communicator& world, const DataSource& source, const std::string& what) {
  const DataIdentity identity = source.identity();
  Config facts = Config::map();
  facts.set("digest", identity.digest);
  facts.set("tokenizer_digest", identity.tokenizer_digest);
  facts.set("tokens", std::to_string(identity.tokens));
  facts.set("samples", std::to_string(source.samples()));
  facts.set("vocab_size", std::to_string(source.vocab_size()));
  const std::string difference = disagreement(world, facts);
  CARAVAN_CHECK(
      difference.empty(), IoError,
      fmt::format("ranks disagree on the {}: {} (all must read the same). Is the same data on every "
                  "node?",
                  what, difference));
  return identity;
}

}  // namespace caravan::jobs
