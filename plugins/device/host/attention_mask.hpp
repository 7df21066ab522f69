#pragma once

#include <cstdint>

#include "attention_call.hpp"
#include "attention_tile.hpp"

namespace caravan::host {

enum class Visibility { all, some };

/// Which keys the queries [first, first + kQueries) of one sequence see: each a range of key indices, and its
/// own document. Lanes beyond the last query repeat it, so that they never make a panel partial.
class BlockMask {
 public:
  BlockMask(const AttentionCall& call, std::int64_t sequence, std::int64_t first_query);

  /// Keys [begin, end) that any query may see, begin at a panel's start, end at a panel's end; begin ≥ end:
  /// none.
  std::int64_t begin() const { return begin_; }
  std::int64_t end() const { return end_; }
  /// Of the panel of keys that starts at `key`.
  Visibility panel(std::int64_t key) const;

  /// All ones in the lanes whose query sees `key`.
  CARAVAN_INLINE IntVec visible(std::int64_t key, int vector) const {
    const IntVec index = broadcast(static_cast<std::int32_t>(key));
    IntVec seen = (index >= first_[vector]) & (index <= last_[vector]);
    // Keys beyond the last one are outside every range; they have no document to read.
    if (documents_ && key < keys_) seen &= broadcast(documents_[key]) == document_[vector];
    return seen;
  }

 private:
  void set_ranges(const AttentionCall& call, std::int64_t first_query);
  void set_documents(const AttentionCall& call, const std::int32_t* of_queries, std::int64_t first_query);
  bool may_see(std::int64_t panel_begin) const;

  IntVec first_[kQueryVectors], last_[kQueryVectors], document_[kQueryVectors];
  const std::int32_t* documents_;  ///< of keys
  std::int64_t keys_;
  std::int64_t begin_ = 0, end_ = 0;
  std::int64_t all_begin_ = 0, all_end_ = 0;  ///< keys inside every query's range
  std::int32_t lowest_document_ = 0, highest_document_ = 0;
};

CARAVAN_INLINE Vec keep_visible(Vec value, IntVec seen) {
  return reinterpret_cast<Vec>(reinterpret_cast<IntVec>(value) & seen);
}

}  // namespace caravan::host
