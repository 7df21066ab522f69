#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "caravan/mesh.hpp"
#include "caravan/parameter.hpp"

namespace caravan {

/// Sums gradients of what several tensor ranks hold alike (Parameter::copies): each of them has made a
/// summand from its own rows or its own heads.
class RepeatedGradients {
 public:
  /// Borrows the mesh.
  explicit RepeatedGradients(Mesh& mesh) : all_(mesh.group(MeshAxis::tp).tensors) {}

  /// [collective over the tensor ranks] Of these parameters' whole gradients, in this order on all ranks.
  void sum(std::span<Parameter* const> parameters);

 private:
  /// Neighbouring slices of one block of memory, and who has the same.
  struct Run {
    TensorView values;
    Communicator* ranks = nullptr;
    Ticket ticket{};
  };
  void add(const TensorView& slice, Communicator& ranks);
  /// [collective at the first call for a number] The neighbours that have `copies` of something between them.
  Communicator& neighbours(int copies);

  Communicator& all_;
  std::map<int, std::unique_ptr<Communicator>> some_;  ///< by how many they are, where they are not all
  std::vector<Run> runs_;
};

}  // namespace caravan
