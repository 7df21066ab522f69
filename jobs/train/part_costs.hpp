#pragma once

#include <map>
#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {

/// A part of a layer's forward (StashPlan::Entry::part), and the bytes that keeping it takes for one
/// micro-batch.
struct LayerPart {
  std::string name;
  std::size_t bytes = 0;
};
/// Parts with something that lives to the backward, in the order of their declaration.
std::vector<LayerPart> parts_of(Layer& layer, const BatchShape& shape);

/// What each part of each kind of layer costs in forward, measured. Layers are of one kind when they declare
/// the same entries and compute as much.
class PartCosts {
 public:
  /// [collective] Takes memory for the weights and activations of one layer at a time and gives it back; the
  /// slowest rank counts, so all ranks know the same. `model` need not be allocated; its first and last layer
  /// are left out.
  PartCosts(Registry& registry, Device& device, ModelInstance& model, const BatchShape& shape,
            Communicator& world);

  /// Of a part, or of kOutputPart.
  double seconds(Layer& layer, const std::string& part) const;
  /// A table: kind of layer, part, bytes, milliseconds.
  const std::string& describe() const noexcept { return text_; }

 private:
  using Parts = std::map<std::string, double>;
  Parts measure(Registry& registry, Device& device, ModelInstance& model, int index,
                Communicator& world) const;
  std::string kind_of(Layer& layer) const;

  BatchShape shape_;
  std::map<std::string, Parts> kinds_;
  std::string text_;
};

}  // namespace caravan::jobs
