#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace caravan::io {

/// Byte-pair merging over a fixed vocabulary: a piece becomes its smallest units, then the neighbouring pair
/// of lowest rank (the leftmost on ties) becomes one token, until no pair can. O(n log n) in the length of
/// the piece.
class BpeModel {
 public:
  enum class Unit { byte, character };
  /// What ranks a pair: the id of the token that it makes (tiktoken), or the order of a list of merges
  /// (Hugging Face).
  enum class Ranking { token, merge };
  /// What a piece that is itself a token becomes: that token at once, or whatever merging gives.
  enum class WholePiece { token, merged };

  struct Merge {
    std::int32_t rank = 0;
    std::int32_t id = 0;
  };
  struct Parts {
    std::vector<std::string> tokens;  ///< by id; "" where an id is free or cannot be reached by merging
    Ranking ranking = Ranking::token;
    WholePiece whole_piece = WholePiece::token;
    Unit unit = Unit::byte;
    std::unordered_map<std::uint64_t, Merge> merges;  ///< by pair_key, for Ranking::merge
    std::int32_t unknown = -1;                        ///< for a unit that is no token; -1: it is dropped
    bool fuse_unknown = false;                        ///< neighbouring unknown units become one
    bool byte_fallback = false;  ///< a unit that is no token becomes the tokens <0xXX> of its bytes
  };

  /// Memory that one thread uses again from piece to piece.
  struct Scratch {
    struct Symbol {
      std::int32_t id, previous, next;
      std::uint32_t begin, end;
    };
    struct Candidate {
      std::int32_t rank, left, left_id, right_id, merged;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };

  /// IoError when two ids have the same token.
  explicit BpeModel(Parts parts);
  BpeModel(BpeModel&&) = default;

  /// Adds the ids of one piece.
  void encode(std::string_view piece, Scratch& scratch, std::vector<std::int32_t>& out) const;
  /// -1 when there is no such token.
  std::int32_t find(std::string_view token) const noexcept;
  /// Whether every one of the 256 bytes is a token, so that any bytes can be encoded without loss.
  bool has_all_bytes() const noexcept;

  static std::uint64_t pair_key(std::int32_t left, std::int32_t right) noexcept {
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
           static_cast<std::uint32_t>(right);
  }

 private:
  void merge_best(std::string_view piece, Scratch& scratch) const;
  void place_units(std::string_view piece, Scratch& scratch) const;
  void place_unknown(std::string_view piece, std::size_t begin, std::size_t end, Scratch& scratch) const;
  void consider(std::string_view piece, std::int32_t left, Scratch& scratch) const;
  Merge merge_of(std::string_view piece, const Scratch::Symbol& left, const Scratch::Symbol& right) const;

  Parts parts_;
  std::unordered_map<std::string_view, std::int32_t>
      ids_;                                 // views of parts_.tokens, whose buffers never move again
  std::vector<std::int32_t> byte_ids_;      // of the 256 bytes; -1: no such token
  std::vector<std::int32_t> fallback_ids_;  // of <0x00>…<0xFF>
  std::size_t longest_token_ = 0;
};

}  // namespace caravan::io
