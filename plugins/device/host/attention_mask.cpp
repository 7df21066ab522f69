#include "attention_mask.hpp"

#include <algorithm>

namespace caravan::host {

BlockMask::BlockMask(const AttentionCall& call, std::int64_t sequence, std::int64_t first_query)
    : documents_(call.key_documents ? call.key_documents.row(sequence) : nullptr), keys_(call.keys) {
  set_ranges(call, first_query);
  if (documents_) set_documents(call, call.query_documents.row(sequence), first_query);
  while (begin_ < end_ && !may_see(begin_)) begin_ += kPanel;
  while (begin_ < end_ && !may_see(end_ - kPanel)) end_ -= kPanel;
}

void BlockMask::set_ranges(const AttentionCall& call, std::int64_t first_query) {
  std::int64_t lowest_first = call.keys, highest_first = 0, lowest_last = call.keys, highest_last = -1;
  for (int lane = 0; lane < kQueries; ++lane) {
    const std::int64_t position = call.mask.first_query + std::min(first_query + lane, call.queries - 1);
    const std::int64_t chunk_start = call.mask.chunk > 0 ? position / call.mask.chunk * call.mask.chunk : 0;
    const std::int64_t first = std::clamp<std::int64_t>(chunk_start - call.mask.first_key, 0, call.keys);
    const std::int64_t last = std::clamp<std::int64_t>(position - call.mask.first_key, -1, call.keys - 1);
    first_[lane / kLanes][lane % kLanes] = static_cast<std::int32_t>(first);
    last_[lane / kLanes][lane % kLanes] = static_cast<std::int32_t>(last);
    lowest_first = std::min(lowest_first, first);
    highest_first = std::max(highest_first, first);
    lowest_last = std::min(lowest_last, last);
    highest_last = std::max(highest_last, last);
  }
  begin_ = lowest_first / kPanel * kPanel;
  end_ = (highest_last + kPanel) / kPanel * kPanel;
  all_begin_ = highest_first;
  all_end_ = lowest_last + 1;
}

void BlockMask::set_documents(const AttentionCall& call, const std::int32_t* of_queries,
                              std::int64_t first_query) {
  lowest_document_ = highest_document_ = of_queries[first_query];
  for (int lane = 0; lane < kQueries; ++lane) {
    const std::int32_t document = of_queries[std::min(first_query + lane, call.queries - 1)];
    document_[lane / kLanes][lane % kLanes] = document;
    lowest_document_ = std::min(lowest_document_, document);
    highest_document_ = std::max(highest_document_, document);
  }
}

bool BlockMask::may_see(std::int64_t panel_begin) const {
  if (!documents_) return true;
  return std::any_of(
      documents_ + panel_begin, documents_ + std::min(panel_begin + kPanel, keys_),
      [&](std::int32_t document) { return document >= lowest_document_ && document <= highest_document_; });
}

Visibility BlockMask::panel(std::int64_t key) const {
  if (key < all_begin_ || key + kPanel > all_end_) return Visibility::some;
  if (!documents_) return Visibility::all;
  const bool one = lowest_document_ == highest_document_ &&
                   std::all_of(documents_ + key, documents_ + key + kPanel,
                               [&](std::int32_t document) { return document == lowest_document_; });
  return one ? Visibility::all : Visibility::some;
}

}  // namespace caravan::host
