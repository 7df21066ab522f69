#pragma once

#include <map>
#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {

/// A section of a layer's forward (StashPlan::Declaration::section), and the bytes that keeping it takes for
/// one micro-batch.
struct LayerSection {
  std::string name;
  std::size_t bytes = 0;
};
/// Sections with something that lives to the backward, in the order of their declaration.
std::vector<LayerSection> sections_of(Layer& layer, const BatchShape& shape);

/// What each section of each kind of layer costs in forward, measured. Layers are of one kind when they
/// declare the same entries and compute as much.
class SectionCosts {
 public:
  /// [collective] Takes memory for the weights and activations of one layer at a time and gives it back; the
  /// slowest rank counts, so all ranks know the same. `model` need not be allocated; its first and last layer
  /// are left out.
  SectionCosts(Registry& registry, Device& device, ModelInstance& model, const BatchShape& shape,
               Communicator& world);

  /// Of a section, or of kOutputSection.
  double seconds(Layer& layer, const std::string& section) const;
  /// A table: kind of layer, section, bytes, milliseconds.
  const std::string& describe() const noexcept { return text_; }

 private:
  using Sections = std::map<std::string, double>;
  Sections measure(Registry& registry, Device& device, ModelInstance& model, int index,
                   Communicator& world) const;
  std::string kind_of(Layer& layer) const;

  BatchShape shape_;
  std::map<std::string, Sections> kinds_;
  std::string text_;
};

}  // namespace caravan::jobs
