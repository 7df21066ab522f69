#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "caravan/registry.hpp"
#include "jobs/compare/options.hpp"
#include "jobs/forward/forward_pass.hpp"

namespace caravan::jobs {

/// One of the two that are compared: a stored model, or a file of answers. Opened, but no weights are read
/// and no logits before `answer`.
class Side {
 public:
  virtual ~Side() = default;
  virtual std::int64_t vocab() const = 0;
  /// Nothing where the files do not say.
  virtual std::optional<std::int64_t> layers() const { return std::nullopt; }
  /// IoError where it cannot answer these sequences of the file `inputs`.
  virtual void check_answers(const Sequences& sequences, const std::string& inputs) const = 0;
  /// [collective over world] Nothing of a model stays in memory.
  virtual Answers answer(const Sequences& sequences, Communicator& world) = 0;
  /// After answer(), by name: device and precision of a model, the tensor of a file.
  const nlohmann::ordered_json& how() const noexcept { return how_; }

 protected:
  nlohmann::ordered_json how_;
};

std::unique_ptr<Side> open_stored_model(const SideOptions& options, const RankDegrees& degrees,
                                        Registry& registry);

/// The same, or the answers in a safetensors file, which no device computes.
std::unique_ptr<Side> open_model_or_answers(const SideOptions& options, const RankDegrees& degrees,
                                            Registry& registry);

/// Whether a path is a safetensors file.
bool is_answer_file(const std::string& path);

}  // namespace caravan::jobs
