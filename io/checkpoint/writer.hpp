#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "io/checkpoint/sharded.hpp"

namespace caravan::io {

/// Writes a whole checkpoint from one process, tensor by tensor, for converters and tests: jobs write
/// snapshots. `<folder>/step-00000100` exists only when `commit` has returned. Any failure throws IoError,
/// removes the unfinished folder and leaves older checkpoints alone; so does the destructor without a commit.
class CheckpointWriter {
 public:
  /// `expected_bytes` of all tensors to come: a disk without that space refuses before anything is written.
  /// 0: not checked.
  CheckpointWriter(const std::string& folder, const CheckpointHead& head, std::uint64_t expected_bytes);
  ~CheckpointWriter();
  CheckpointWriter(CheckpointWriter&&) noexcept;

  /// name: "/model/…", "/optimizer/<slot>/…" or "/state/…". `view`: host memory, any strides, stored in its
  /// own dtype.
  void tensor(const std::string& name, const TensorView& view);
  /// A number or text under such a name, besides those of the head.
  void attribute(const std::string& name, const CheckpointValue& value);
  /// [once] Returns the checkpoint's folder.
  std::string commit();

 private:
  struct State;
  template <class Action>
  void attempt(Action&& action);

  std::unique_ptr<State> state_;
};

}  // namespace caravan::io
