#include "io/checkpoint/writer.hpp"

#include "caravan/check.hpp"
#include "io/checkpoint/data_file.hpp"
#include "io/checkpoint/layout.hpp"

namespace caravan::io {
namespace {

constexpr std::uint64_t kStructureReserve = std::uint64_t{1} << 20;

}  // namespace

struct CheckpointWriter::State {
  State(const std::string& folder, const CheckpointHead& head_, std::uint64_t expected_bytes)
      : head(head_),
        staging(folder, step_folder(head.step)),
        file(staging.path(), kCheckpointFile, expected_bytes > 0 ? expected_bytes + kStructureReserve : 0) {
    describe(file, head);
  }

  CheckpointHead head;
  StagingFolder staging;
  DataFile file;
};

CheckpointWriter::CheckpointWriter(const std::string& folder, const CheckpointHead& head,
                                   std::uint64_t expected_bytes) {
  remove_stale(folder);  // what a killed run left may be the space that is missing
  state_ = std::make_unique<State>(folder, head, expected_bytes);
}
CheckpointWriter::~CheckpointWriter() = default;
CheckpointWriter::CheckpointWriter(CheckpointWriter&&) noexcept = default;

/// After a failure nothing more can be written: what was written is removed at once, not when the writer
/// dies.
template <class Action>
void CheckpointWriter::attempt(Action&& action) {
  CARAVAN_CHECK(state_, IoError, "this checkpoint was committed or given up before");
  try {
    action();
  } catch (...) {
    state_.reset();
    throw;
  }
}

void CheckpointWriter::tensor(const std::string& name, const TensorView& view) {
  attempt([&] { state_->file.piece(Piece::whole({name, view.dtype, view.shape}), view); });
}

void CheckpointWriter::attribute(const std::string& name, const CheckpointValue& value) {
  attempt([&] {
    check_object_name(name);
    state_->file.attribute(name, value);
    state_->head.values.emplace_back(name, value);
  });
}

std::string CheckpointWriter::commit() {
  std::string path;
  attempt([&] { path = publish(state_->staging, state_->head, {state_->file.finish()}, nullptr); });
  state_.reset();
  return path;
}

}  // namespace caravan::io
