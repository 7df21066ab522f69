#pragma once

#include <cstdint>
#include <string>

#include "caravan/ops/attention.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan::reference {

/// Whether query i of sequence b sees key j: AttentionMask, with its views checked.
class SeenKeys {
 public:
  SeenKeys(const Call& call, const AttentionMask& mask, const Array<float, 4>& q, const Array<float, 4>& k)
      : mask_(mask) {
    if (const std::string half = problem_with(mask); !half.empty()) call.fail(half);
    if (mask.query_documents.empty()) return;
    query_documents_ =
        call.matrix<std::int32_t>("query_documents", mask.query_documents, q.extent(0), q.extent(1));
    key_documents_ = call.matrix<std::int32_t>("key_documents", mask.key_documents, q.extent(0), k.extent(1));
  }

  bool operator()(std::int64_t b, std::int64_t i, std::int64_t j) const {
    const std::int64_t query = mask_.first_query + i, key = mask_.first_key + j;
    if (key > query) return false;
    if (mask_.chunk > 0 && key / mask_.chunk != query / mask_.chunk) return false;
    return !query_documents_ || query_documents_(b, i) == key_documents_(b, j);
  }

 private:
  AttentionMask mask_;
  Matrix<std::int32_t> query_documents_, key_documents_;
};

}  // namespace caravan::reference
