#include "io/checkpoint/writer.hpp"

#include "caravan/check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/staging.hpp"
#include "io/checkpoint/verify.hpp"
#include "io/files/digest.hpp"
#include "io/files/pack.hpp"
#include "io/hdf5/attribute.hpp"
#include "io/hdf5/dataset.hpp"

namespace caravan::io {
namespace {

constexpr std::uint64_t kStructureReserve = std::uint64_t{1} << 20;

void check_space(const std::string& folder, std::uint64_t bytes) {
  struct statvfs disk {};
  CARAVAN_CHECK(::statvfs(folder.c_str(), &disk) == 0, IoError, system_text("ask the free space of", folder));
  const std::uint64_t free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  CARAVAN_CHECK(
      free >= bytes, IoError,
      fmt::format("a checkpoint in {} needs {} bytes, {} are free (the disk is full). Remove something?",
                  folder, bytes, free));
}

/// Takes the blocks now without changing the size; cutting the closed file at its own end gives back what is
/// left over.
void reserve_blocks(const std::string& path, std::uint64_t bytes) {
  const File file(path, O_WRONLY);
  if (::fallocate(file.descriptor(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0) return;
  CARAVAN_CHECK(errno == EOPNOTSUPP || errno == ENOSYS, IoError,
                fmt::format("{}: {} bytes are needed", system_text("reserve space for", path), bytes));
}

std::pair<std::string, std::string> split_name(const std::string& name) {
  const auto slash = name.rfind('/');
  return {name.substr(0, slash), name.substr(slash + 1)};
}

}  // namespace

struct CheckpointWriter::State {
  State(const std::string& folder, std::int64_t step, const CheckpointInfo& info)
      : staging(folder, step_folder(step)), file(create(info.expected_bytes)) {
    manifest.step = step;
    manifest.tokens_seen = info.tokens_seen;
    manifest.layout = info.layout;
    manifest.creator = info.creator;
    record.name = kCheckpointFile;
    describe(info);
  }

  h5::H5File create(std::uint64_t expected_bytes) const {
    const std::string path = data_path();
    if (expected_bytes > 0) check_space(staging.path(), expected_bytes + kStructureReserve);
    h5::H5File made = h5::H5File::create(path);
    if (expected_bytes > 0) reserve_blocks(path, expected_bytes + kStructureReserve);
    return made;
  }

  void describe(const CheckpointInfo& info) const {
    h5::write_attribute(file, "/", "format_version", kCheckpointFormat);
    h5::write_attribute(file, "/", "step", manifest.step);
    h5::write_attribute(file, "/", "tokens_seen", info.tokens_seen);
    h5::write_attribute(file, "/", "job", info.job_yaml);
    h5::write_attribute(file, "/", "layout", info.layout);
    h5::write_attribute(file, "/", "creator", info.creator);
  }

  std::string data_path() const { return (std::filesystem::path(staging.path()) / kCheckpointFile).string(); }

  void write(const std::string& name, const TensorView& view) {
    auto dataset = h5::Dataset::create(file, name, view.dtype, view.shape);
    Digest digest;
    for_each_contiguous(view, [&](std::int64_t first, const TensorView& piece) {
      dataset.write({first}, piece);
      digest.add(bytes_of(piece));
    });
    record.tensors.push_back(
        {name, view.dtype, view.shape, dataset.file_offset(), view.bytes(), digest.text()});
    dataset.close();
  }

  std::string finish() {
    file.finish();
    const File closed(data_path(), O_RDWR);
    record.bytes = closed.size();
    CARAVAN_CHECK(::ftruncate(closed.descriptor(), static_cast<off_t>(record.bytes)) == 0, IoError,
                  system_text("cut the spare space of", closed.path()));
    closed.sync();
    record.structure = structure_digest(staging.path(), record);
    manifest.files = {record};
    write_manifest(staging.path(), manifest);
    return staging.commit();
  }

  StagingFolder staging;
  h5::H5File file;
  Manifest manifest;
  FileRecord record;
};

CheckpointWriter::CheckpointWriter(const std::string& folder, std::int64_t step, const CheckpointInfo& info) {
  remove_stale(folder);  // what a killed run left may be the space that is missing
  state_ = std::make_unique<State>(folder, step, info);
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
  attempt([&] {
    check_object_name(name);
    state_->write(name, view);
  });
}

void CheckpointWriter::attribute(const std::string& name, const CheckpointValue& value) {
  attempt([&] {
    check_object_name(name);
    const auto [group, leaf] = split_name(name);
    h5::write_attribute(state_->file, group, leaf, value);
  });
}

std::string CheckpointWriter::commit() {
  std::string path;
  attempt([&] { path = state_->finish(); });
  state_.reset();
  return path;
}

}  // namespace caravan::io
