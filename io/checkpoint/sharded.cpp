#include "io/checkpoint/sharded.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "io/checkpoint/data_file.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/space.hpp"

namespace caravan::io {
namespace {

/// Shows every tensor of `shares` whole.
FileRecord write_master(const std::string& folder, const CheckpointHead& head,
                        const std::vector<FileRecord>& shares) {
  DataFile file(folder, kCheckpointFile, 0);
  describe(file, head);
  Manifest all;
  all.files = shares;
  for (const TensorRecord& tensor : tensors_of(all)) file.virtual_tensor(tensor, shares);
  return file.finish();
}

}  // namespace

void describe(DataFile& file, const CheckpointHead& head) {
  file.attribute("/format_version", kCheckpointFormat);
  file.attribute("/step", head.step);
  file.attribute("/tokens_seen", head.tokens_seen);
  file.attribute("/job", head.job_yaml);
  file.attribute("/layout", head.layout);
  file.attribute("/creator", head.creator);
  for (const auto& [name, value] : head.values) {
    check_object_name(name);
    file.attribute(name, value);
  }
}

FileRecord write_share(const std::string& folder, int writer, int writers, const CheckpointHead& head,
                       const std::vector<Piece>& pieces, const PieceSource& elements) {
  const bool is_only = writers == 1;
  DataFile file(folder, is_only ? kCheckpointFile : fmt::format("shard-{:05d}.h5", writer),
                space_for(pieces));
  if (is_only) describe(file, head);
  for (std::size_t index = 0; index < pieces.size(); ++index) file.piece(pieces[index], elements(index));
  return file.finish();
}

std::string publish(StagingFolder& folder, const CheckpointHead& head, std::vector<FileRecord> shares,
                    const RunLock* lock) {
  CARAVAN_EXPECT(!shares.empty());
  if (shares.size() > 1 || shares.front().name != kCheckpointFile)
    shares.insert(shares.begin(), write_master(folder.path(), head, shares));
  Manifest manifest{kCheckpointFormat, head.step,
                    head.tokens_seen,  head.layout,
                    head.creator,      lock ? lock->generation() : "",
                    head.job_yaml,     {head.values.begin(), head.values.end()},
                    std::move(shares)};
  write_manifest(folder.path(), manifest);
  if (lock) lock->check();
  return folder.commit();
}

}  // namespace caravan::io
