#pragma once

#include <string_view>

#include "caravan/layer.hpp"
#include "caravan/tensor_rows.hpp"

namespace caravan {

/// A product of gathered rows, each of which it makes by itself. Where tensor ranks overlap, this segment
/// makes this rank's own rows, which need not travel, while the gather is under way; the step that waits for
/// the gather makes the others with rest(), which elsewhere are all. A member function of the layer makes a
/// range of rows, in forward or in I.
template <class L>
class SplitProduct final : public Segment {
 public:
  using Product = void (L::*)(Run&, Frame&, RowRange);

  /// Borrows both. `directions`: where the rows are gathered, forward or backward.
  SplitProduct(L& layer, const TensorRows& rows, Directions directions, Product product)
      : layer_(layer), rows_(rows), directions_(directions), product_(product) {}

  std::string_view name() const override { return "own rows"; }
  Directions directions() const override { return directions_; }
  bool needs_pending(Lane) const override { return false; }
  void forward(Run& run, Frame& frame) override { make(run, frame, rows_.early(run.shape)); }
  void backward_input(Run& run, Frame& frame) override { make(run, frame, rows_.early(run.shape)); }
  void rest(Run& run, Frame& frame) const {
    for (const RowRange& rows : rows_.late(run.shape)) make(run, frame, rows);
  }

 private:
  void make(Run& run, Frame& frame, RowRange rows) const {
    if (!rows.empty()) (layer_.*product_)(run, frame, rows);
  }

  L& layer_;
  const TensorRows& rows_;
  Directions directions_;
  Product product_;
};

}  // namespace caravan
