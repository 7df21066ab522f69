#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// What a checkpoint says of itself beside its tensors.
struct CheckpointInfo {
  std::int64_t tokens_seen = 0;
  std::string job_yaml;  ///< the resolved job
  std::string layout;    ///< "pp=1 dp_replicate=2", for people
  std::string creator;   ///< "caravan 0.1.0"
  /// Bytes of all tensors to come: a disk without that space refuses before anything is written. 0: not
  /// checked.
  std::uint64_t expected_bytes = 0;
};

using CheckpointValue = std::variant<std::int64_t, double, std::string>;

/// Writes `<folder>/step-00000100/checkpoint.h5`, which exists only when `commit` has returned. Tensors are
/// written as they are given, whole, under their global names. Any failure throws IoError, removes the
/// unfinished folder and leaves older checkpoints alone; so does the destructor without a commit. One process
/// writes; nothing here talks to other ranks.
class CheckpointWriter {
 public:
  CheckpointWriter(const std::string& folder, std::int64_t step, const CheckpointInfo& info);
  ~CheckpointWriter();
  CheckpointWriter(CheckpointWriter&&) noexcept;

  /// name: "/model/…", "/optimizer/<slot>/…" or "/state/…". `view`: host memory, any strides, stored in its
  /// own dtype.
  void tensor(const std::string& name, const TensorView& view);
  /// A number or text under such a name: "/state/data_cursor".
  void attribute(const std::string& name, const CheckpointValue& value);
  /// [once] Closes, synchronises, writes the manifest, renames. Returns the checkpoint's folder.
  std::string commit();

 private:
  struct State;
  template <class Action>
  void attempt(Action&& action);

  std::unique_ptr<State> state_;
};

}  // namespace caravan::io
