#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <limits>

#include "caravan/check.hpp"
#include "caravan/comm.hpp"
#include "caravan/registry.hpp"
#include "core/plugin/processor_level.hpp"

namespace caravan {
namespace {

constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();

std::int64_t reduce(Communicator& world, std::int64_t value, ReduceOp op) {
  world.all_reduce(TensorView(&value, DType::i64, {1}), op);
  return value;
}

/// The text of rank `root`, on every rank. [collective over world]
std::string broadcast_text(Communicator& world, std::string text, int root) {
  const bool mine = world.rank() == root;
  const std::int64_t bytes = reduce(world, mine ? static_cast<std::int64_t>(text.size()) : 0, ReduceOp::max);
  std::vector<std::int64_t> words(static_cast<std::size_t>(bytes / 8 + 1));
  if (mine) std::memcpy(words.data(), text.data(), text.size());
  world.broadcast(TensorView(words.data(), DType::i64, {static_cast<std::int64_t>(words.size())}), root);
  return std::string(reinterpret_cast<const char*>(words.data()), static_cast<std::size_t>(bytes));
}

std::string line_of(const Found& found) {
  return fmt::format("{}\t{}\t{}\n", found.plugin, found.file, found.sha256);
}

std::string text_of(const std::vector<Found>& opened) {
  std::string text;
  for (const Found& found : opened) text += line_of(found);
  return text;
}

/// FNV-1a, without its top bit so that it is no extreme of i64. Not a defence: SHA-256 is in the text.
std::int64_t digest_of(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return static_cast<std::int64_t>(hash >> 1);
}

struct Line {
  std::string plugin, file, sha256;
};

std::vector<Line> lines_of(const std::string& text) {
  std::vector<Line> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t first = text.find('\t', begin), second = text.find('\t', first + 1),
                      end = text.find('\n', second);
    lines.push_back({text.substr(begin, first - begin), text.substr(first + 1, second - first - 1),
                     text.substr(second + 1, end - second - 1)});
    begin = end + 1;
  }
  return lines;
}

std::string shown(const std::vector<Line>& lines, std::size_t i) {
  return i < lines.size() ? fmt::format("{} (SHA-256 {:.12})", lines[i].file, lines[i].sha256) : "none";
}

/// The level that both files are for where they are one plugin built for several, empty otherwise.
std::string_view common_level(const std::string& file, const std::string& other) {
  const std::filesystem::path a(file), b(other);
  if (a.filename() != b.filename()) return {};
  const auto rank_of = [](const std::filesystem::path& path) {
    return std::find(std::begin(kProcessorLevels), std::end(kProcessorLevels),
                     path.parent_path().filename().string());
  };
  const auto* narrower = std::max(rank_of(a), rank_of(b));
  return narrower == std::end(kProcessorLevels) ? std::string_view() : *narrower;
}

/// What to do about plugins that differ.
std::string remedy(const std::vector<Line>& zero, const std::vector<Line>& other, std::size_t i) {
  const std::string_view level =
      i < zero.size() && i < other.size() ? common_level(zero[i].file, other[i].file) : std::string_view();
  return level.empty() ? "Is the same installation on every node?"
                       : fmt::format("Processors differ: set CARAVAN_PROCESSOR={} for all ranks?", level);
}

/// What differs first between rank 0's list and another's.
std::string difference(const std::string& text_0, const std::string& text_r, std::int64_t rank) {
  const std::vector<Line> zero = lines_of(text_0), other = lines_of(text_r);
  std::size_t i = 0;
  const auto same = [](const Line& a, const Line& b) { return a.file == b.file && a.sha256 == b.sha256; };
  while (i < zero.size() && i < other.size() && same(zero[i], other[i])) ++i;
  const std::string name = i < zero.size()    ? zero[i].plugin
                           : i < other.size() ? other[i].plugin
                                              : "(unknown)";
  return fmt::format(
      "ranks disagree on plugin {}: rank 0 has {}, rank {} has {} (all must run the same code). {}", name,
      shown(zero, i), rank, shown(other, i), remedy(zero, other, i));
}

}  // namespace

void agree_on_plugins(const Registry& registry, Communicator& world) {
  if (world.size() == 1) return;
  const std::string mine = text_of(registry.opened());
  const std::int64_t digest = digest_of(mine);
  const bool equal = reduce(world, digest, ReduceOp::min) == reduce(world, digest, ReduceOp::max);
  if (equal) return;
  const std::string zero = broadcast_text(world, mine, 0);
  const std::int64_t rank = reduce(world, mine == zero ? kNone : world.rank(), ReduceOp::min);
  const std::string theirs = broadcast_text(world, mine, static_cast<int>(rank));
  throw PluginError(difference(zero, theirs, rank));
}

}  // namespace caravan
