#include "io/text/bpe_model.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/utf8.hpp"
#include "io/text/byte_alphabet.hpp"

namespace caravan::io {
namespace {

using Symbol = BpeModel::Scratch::Symbol;
using Candidate = BpeModel::Scratch::Candidate;

constexpr std::int32_t kNone = -1;

/// Orders a heap so that the lowest rank, then the leftmost pair, is on top.
bool comes_later(const Candidate& a, const Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
}

void append_symbol(std::vector<Symbol>& symbols, std::int32_t id, std::size_t begin, std::size_t end) {
  const auto index = static_cast<std::int32_t>(symbols.size());
  if (index > 0) symbols.back().next = index;
  symbols.push_back(
      {id, index - 1, kNone, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
}

}  // namespace

BpeModel::BpeModel(Parts parts) : parts_(std::move(parts)), byte_ids_(256, kNone) {
  ids_.reserve(parts_.tokens.size());
  for (std::size_t id = 0; id < parts_.tokens.size(); ++id) {
    const std::string& token = parts_.tokens[id];
    if (token.empty()) continue;
    const auto [other, is_new] = ids_.emplace(token, static_cast<std::int32_t>(id));
    CARAVAN_CHECK(is_new, IoError,
                  fmt::format("token '{}' has the ids {} and {} (a token has one id). Is the file damaged?",
                              spell_bytes(token), other->second, id));
    longest_token_ = std::max(longest_token_, token.size());
    if (token.size() == 1) byte_ids_[static_cast<unsigned char>(token[0])] = static_cast<std::int32_t>(id);
  }
  for (int byte = 0; parts_.byte_fallback && byte < 256; ++byte)
    fallback_ids_.push_back(find(fmt::format("<0x{:02X}>", byte)));
}

std::int32_t BpeModel::find(std::string_view token) const noexcept {
  const auto found = ids_.find(token);
  return found == ids_.end() ? kNone : found->second;
}

bool BpeModel::has_all_bytes() const noexcept {
  return parts_.unit == Unit::byte && std::ranges::find(byte_ids_, kNone) == byte_ids_.end();
}

void BpeModel::encode(std::string_view piece, Scratch& scratch, std::vector<std::int32_t>& out) const {
  if (parts_.whole_piece == WholePiece::token && piece.size() <= longest_token_) {
    const std::int32_t whole = find(piece);
    if (whole != kNone) return out.push_back(whole);
  }
  // Symbols are numbered with 31 bits; text of that length is far above every limit on files.
  CARAVAN_CHECK(piece.size() < (1u << 31), IoError,
                fmt::format("a piece of text of {} bytes (at most 2 GiB are encoded at once)", piece.size()));
  scratch.heap.clear();
  place_units(piece, scratch);
  auto& symbols = scratch.symbols;
  for (std::int32_t i = 0; i + 1 < static_cast<std::int32_t>(symbols.size()); ++i)
    consider(piece, i, scratch);
  while (!scratch.heap.empty()) merge_best(piece, scratch);
  for (std::int32_t i = symbols.empty() ? kNone : 0; i != kNone;
       i = symbols[static_cast<std::size_t>(i)].next)
    out.push_back(symbols[static_cast<std::size_t>(i)].id);
}

void BpeModel::merge_best(std::string_view piece, Scratch& scratch) const {
  std::ranges::pop_heap(scratch.heap, comes_later);
  const Candidate best = scratch.heap.back();
  scratch.heap.pop_back();
  auto& symbols = scratch.symbols;
  Symbol& left = symbols[static_cast<std::size_t>(best.left)];
  if (left.id != best.left_id || left.next == kNone) return;  // one of the two has been merged since
  Symbol& right = symbols[static_cast<std::size_t>(left.next)];
  if (right.id != best.right_id) return;
  left.id = best.merged;
  left.end = right.end;
  left.next = right.next;
  right.id = kNone;
  if (left.next != kNone) symbols[static_cast<std::size_t>(left.next)].previous = best.left;
  if (left.previous != kNone) consider(piece, left.previous, scratch);
  consider(piece, best.left, scratch);
}

void BpeModel::place_units(std::string_view piece, Scratch& scratch) const {
  scratch.symbols.clear();
  std::size_t end = 0;
  for (std::size_t begin = 0; begin < piece.size(); begin = end) {
    end = begin + (parts_.unit == Unit::byte ? 1 : scan_utf8(piece.substr(begin)).length);
    const std::string_view unit = piece.substr(begin, end - begin);
    const std::int32_t id = unit.size() == 1 ? byte_ids_[static_cast<unsigned char>(unit[0])] : find(unit);
    if (id != kNone) append_symbol(scratch.symbols, id, begin, end);
    if (id == kNone) place_unknown(piece, begin, end, scratch);
  }
}

void BpeModel::place_unknown(std::string_view piece, std::size_t begin, std::size_t end,
                             Scratch& scratch) const {
  const auto fallback = [&](std::size_t i) { return fallback_ids_[static_cast<unsigned char>(piece[i])]; };
  bool spelled = parts_.byte_fallback;
  for (std::size_t i = begin; spelled && i < end; ++i) spelled = fallback(i) != kNone;
  for (std::size_t i = begin; spelled && i < end; ++i) append_symbol(scratch.symbols, fallback(i), i, i + 1);
  if (spelled || parts_.unknown == kNone) return;
  auto& symbols = scratch.symbols;
  if (parts_.fuse_unknown && !symbols.empty() && symbols.back().id == parts_.unknown) {
    symbols.back().end = static_cast<std::uint32_t>(end);
    return;
  }
  append_symbol(symbols, parts_.unknown, begin, end);
}

void BpeModel::consider(std::string_view piece, std::int32_t left, Scratch& scratch) const {
  const Symbol& first = scratch.symbols[static_cast<std::size_t>(left)];
  if (first.next == kNone) return;
  const Symbol& second = scratch.symbols[static_cast<std::size_t>(first.next)];
  const Merge merge = merge_of(piece, first, second);
  if (merge.id == kNone) return;
  scratch.heap.push_back({merge.rank, left, first.id, second.id, merge.id});
  std::ranges::push_heap(scratch.heap, comes_later);
}

BpeModel::Merge BpeModel::merge_of(std::string_view piece, const Symbol& left, const Symbol& right) const {
  if (parts_.ranking == Ranking::merge) {
    const auto found = parts_.merges.find(pair_key(left.id, right.id));
    return found == parts_.merges.end() ? Merge{0, kNone} : found->second;
  }
  const std::size_t length = right.end - left.begin;
  if (length > longest_token_) return {0, kNone};
  const std::int32_t id = find(piece.substr(left.begin, length));
  return {id, id};
}

}  // namespace caravan::io
