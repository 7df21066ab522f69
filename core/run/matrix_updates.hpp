#pragma once

#include <cstdint>
#include <vector>

#include "caravan/arena.hpp"
#include "caravan/box.hpp"
#include "caravan/mesh.hpp"
#include "caravan/optimizer.hpp"

namespace caravan {

struct ParameterGroup;

/// A matrix of a parameter: of one part, and of experts one's.
struct MatrixPlace {
  const Fragment* fragment = nullptr;
  std::int64_t begin = 0, end = 0;  ///< elements of the parameter's shape here, row-major
  Shape whole;                      ///< [N, M] in the model
  Box box;                          ///< this rank's slice of it
  bool counts = true;               ///< false: another tensor rank's slice is the same
  bool is_cut() const { return box.extents != whole; }
  /// Some of its elements are kept here.
  bool is_kept() const { return end > fragment->begin && begin < fragment->end; }
};
/// Of all parameters with UpdateRule::by_matrix, in the order of fragments. ConfigError naming a parameter
/// that is no matrix, or whose parts lie in columns.
std::vector<MatrixPlace> matrix_places(const ParameterStore& store);

/// What an optimizer that takes matrices is given: gathers what ranks keep of them, has them transformed, and
/// puts back what is kept here. Where stretches are gathered a rank transforms the matrices that it keeps
/// something of; where tensor ranks have slices all of these do the same.
class MatrixUpdates {
 public:
  /// Some parameter is updated by matrices.
  static bool are_wanted(const ParameterStore& store);
  /// Elements of f32 that run() works in.
  static std::int64_t work_elements(const ParameterStore& store, const Optimizer& optimizer);

  /// Borrows all. `store` must be allocated. `mesh`: of who keeps parameters; null: one rank.
  MatrixUpdates(Device& device, const ParameterStore& store, Optimizer& optimizer, Mesh* mesh);
  MatrixUpdates(const MatrixUpdates&) = delete;

  /// [collective over ranks that keep other elements of the same matrices] Of gradients as
  /// Optimizer::prepare() left them.
  void run();

 private:
  /// Matrices that one gather makes whole.
  struct Batch {
    const ParameterGroup* group = nullptr;  ///< null: they are whole
    Communicator* ranks = nullptr;
    std::vector<MatrixPlace> matrices{};
  };
  void transform(const MatrixPlace& place);
  void put_back(const MatrixPlace& place);
  TensorView gathered(const MatrixPlace& place, const TensorView& here);
  Communicator& cutters(const Parameter& parameter);

  Device& device_;
  Optimizer& optimizer_;
  Mesh* mesh_;
  Arena memory_;
  TensorView work_, sum_;
  std::vector<Batch> batches_;  ///< in one order on all ranks
};

}  // namespace caravan
