#include "jobs/convert/write.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string_view>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/checkpoint/one_file.hpp"
#include "io/checkpoint/space.hpp"
#include "io/checkpoint/staging.hpp"
#include "io/convert/block_rooms.hpp"
#include "io/convert/shares.hpp"
#include "io/files/byte_source.hpp"
#include "io/files/file.hpp"
#include "io/files/on_threads.hpp"
#include "io/files/pending_folder.hpp"
#include "io/files/rename_new.hpp"
#include "jobs/convert/progress.hpp"
#include "jobs/setup/gather.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/state/file_records.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

void write_new(const fs::path& path, std::span<const std::byte> bytes) {
  io::File file(path.string(), O_WRONLY | O_CREAT | O_EXCL);
  file.write(bytes);
  file.sync();
}

void copy_to(const fs::path& from, const fs::path& to) {
  const auto source = io::open_plain_file(from.string());
  io::File file(to.string(), O_WRONLY | O_CREAT | O_EXCL);
  std::vector<std::byte> buffer(std::size_t{1} << 20);
  while (const std::size_t bytes = io::read_fully(*source, buffer))
    file.write(std::span(buffer).first(bytes));
  file.sync();
}

void write_small(const Conversion& conversion, const fs::path& folder) {
  for (const auto& [name, text] : conversion.texts) write_new(folder / name, std::as_bytes(std::span(text)));
  for (const fs::path& file : conversion.copied) copy_to(file, folder / file.filename());
}

/// The checksums of all ranks' blocks, in order; on rank 0.
std::vector<std::uint32_t> gather_crcs(const std::vector<std::uint32_t>& mine, Communicator& world) {
  std::vector<std::uint32_t> all;
  const std::string text(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(std::uint32_t));
  for (const std::string& crcs : gather_texts(world, text)) {
    const std::size_t before = all.size();
    all.resize(before + crcs.size() / sizeof(std::uint32_t));
    std::copy(crcs.begin(), crcs.end(), reinterpret_cast<char*>(all.data() + before));
  }
  return all;
}

/// Headers and directories, which hold the checksums of what all ranks wrote.
void finish_archives(const Conversion& conversion, const std::vector<io::FlatBlock>& blocks,
                     const std::vector<std::uint32_t>& mine, const std::string& folder, Communicator& world) {
  const std::vector<std::uint32_t> crcs = gather_crcs(mine, world);
  for (std::size_t i = 0; i < conversion.archives.size() && world.rank() == 0; ++i) {
    const io::PthArchive& archive = conversion.archives[i];
    io::add_texts(folder, archive.file.name,
                  io::headers_of(archive, io::crcs_of_tensors(archive, i, blocks, crcs)));
  }
}

/// [collective] What a rank cannot convert all of them say, so that the first takes away what it began.
template <class Work>
void all_or_none(Communicator& world, const Work& work) {
  if (world.size() == 1) return work();
  std::string own, first;
  try {
    work();
  } catch (const IoError& error) {
    own = error.what();
  }
  for (const std::string& text : gather_texts(world, own))
    if (first.empty()) first = text;
  first = broadcast_text(world, first);
  if (!first.empty()) throw IoError(first);
}

/// Each rank writes its blocks to their places.
void write_files(const Conversion& conversion, const io::WeightSource& source, const std::string& folder,
                 Communicator& world) {
  if (world.rank() == 0) io::create_files(folder, conversion.files);
  world.barrier();
  const std::vector<io::FlatBlock> blocks = io::blocks_of(conversion.files);
  std::vector<std::uint64_t> bytes;
  for (const io::FlatBlock& block : blocks) bytes.push_back(block.bytes);
  const auto [begin, end] = io::share_of_list(bytes, world.rank(), world.size());
  const auto mine = std::span<const io::FlatBlock>(blocks).subspan(begin, end - begin);
  const auto share = std::span<const std::uint64_t>(bytes).subspan(begin, end - begin);
  ConvertProgress progress(share, world, conversion.report);
  std::vector<std::uint32_t> crcs(conversion.archives.empty() ? 0 : mine.size());
  const auto see = [&](std::size_t index, std::span<const std::byte> written) {
    progress.add(written.size());
    const std::string_view text(reinterpret_cast<const char*>(written.data()), written.size());
    if (!crcs.empty()) crcs[index] = io::crc32_of(text);
  };
  all_or_none(world, [&] {
    io::fill_files(folder, conversion.files, mine, source, io::threads_for_bytes(world.size()), see);
  });
  if (!conversion.archives.empty()) finish_archives(conversion, blocks, crcs, folder, world);
}

/// Blocks of a checkpoint's tensors.
struct CheckpointBlocks {
  std::vector<io::Piece> pieces;
  std::vector<const io::MadeTensor*> tensors;  ///< of each piece
  std::vector<std::uint64_t> bytes;
};

CheckpointBlocks blocks_of(const std::vector<io::MadeTensor>& tensors) {
  CheckpointBlocks blocks;
  for (const io::MadeTensor& tensor : tensors) {
    for (const Box& box : io::blocks_of(tensor)) {
      blocks.pieces.push_back({{tensor.name, tensor.dtype, tensor.stored}, box});
      blocks.tensors.push_back(&tensor);
      blocks.bytes.push_back(blocks.pieces.back().bytes());
    }
  }
  return blocks;
}

/// The pieces of a share of the file that rank 0 prepared.
io::FileRecord fill_share(const CheckpointBlocks& blocks, io::ShareOfList share,
                          const io::WeightSource& source, const std::string& folder,
                          const io::FileRecord& prepared, const std::function<void()>& report,
                          Communicator& world) {
  const auto bytes = std::span(blocks.bytes).subspan(share.begin, share.end - share.begin);
  io::BlockRooms rooms(bytes, io::threads_for_bytes(world.size()));
  io::PreparedFile file(folder, prepared);
  ConvertProgress progress(bytes, world, report);
  std::vector<std::vector<io::PieceRecord>> put(bytes.size());
  const auto put_block = [&](std::size_t index) {
    const io::Piece& piece = blocks.pieces[share.begin + index];
    const io::BlockRooms::Lease room(rooms);
    const TensorView view(room.bytes_for(0, bytes[index]).data(), piece.tensor.dtype, piece.shape());
    io::make_block(source, *blocks.tensors[share.begin + index], piece.box, view, rooms.threads_a_block());
    put[index] = file.put(piece, view);
    progress.add(bytes[index]);
  };
  all_or_none(world, [&] {
    io::on_threads(bytes.size(), rooms.count(), put_block);
    file.sync();
  });
  std::vector<io::PieceRecord> records;
  for (auto& each : put) std::move(each.begin(), each.end(), std::back_inserter(records));
  return file.record(std::move(records));
}

/// All ranks fill one checkpoint.h5. On rank 0 its record, without which it is no checkpoint.
std::optional<io::FileRecord> write_checkpoint(const Conversion& conversion, const io::WeightSource& source,
                                               const std::string& folder, Communicator& world) {
  std::optional<io::FileRecord> prepared;
  if (world.rank() == 0) {
    std::vector<io::TensorRecord> records;
    for (const io::MadeTensor& tensor : conversion.checkpoint)
      records.push_back({tensor.name, tensor.dtype, tensor.stored});
    prepared = io::prepare_file(folder, conversion.head, records);
  }
  const io::FileRecord file = broadcast_record(world, std::move(prepared));
  const CheckpointBlocks blocks = blocks_of(conversion.checkpoint);
  const io::ShareOfList share = io::share_of_list(blocks.bytes, world.rank(), world.size());
  const auto parts =
      gather_records(world, fill_share(blocks, share, source, folder, file, conversion.report, world));
  if (world.rank() != 0) return std::nullopt;
  return io::join(file, parts);
}

fs::path parent_of(const std::string& destination) {
  const fs::path path = fs::absolute(destination).lexically_normal();
  return (path.filename().empty() ? path.parent_path() : path).parent_path();
}

std::string name_of(const std::string& destination) {
  const fs::path path = fs::absolute(destination).lexically_normal();
  return (path.filename().empty() ? path.parent_path() : path).filename().string();
}

/// A folder of one file gives it its name beside the folder.
void put_file_in_place(const Conversion& conversion, const io::StagingFolder& staging,
                       const std::string& destination) {
  const fs::path from = fs::path(staging.path()) / conversion.files.front().name;
  io::rename_new(from.string(), destination);
  io::sync_folder(parent_of(destination).string());
}

/// What a conversion of the same name left that was killed, or of which another rank failed.
void remove_leftovers(const std::string& parent, const std::string& name) {
  const auto is_same = [&](std::string_view other) { return other == name; };
  for (const std::string& removed : io::remove_abandoned(parent, is_same))
    log_warning(fmt::format("removed {}, which a conversion that did not end left", removed));
}

}  // namespace

void write_conversion(const Conversion& conversion, const io::WeightSource& source,
                      const std::string& destination, Communicator& world) {
  std::optional<io::StagingFolder> staging;
  if (world.rank() == 0) {
    remove_leftovers(parent_of(destination).string(), name_of(destination));
    staging.emplace(parent_of(destination).string(), name_of(destination), io::Former::refused);
    io::check_space(staging->path(), conversion.bytes(), "the conversion");
  }
  const std::string folder = broadcast_text(world, staging ? staging->path() : "");
  if (conversion.checkpoint.empty()) {
    write_files(conversion, source, folder, world);
    world.barrier();
    if (!staging) return;
    write_small(conversion, folder);
    conversion.check_source();
    const bool is_file = conversion.files.size() == 1 && conversion.texts.empty();
    if (is_file) return put_file_in_place(conversion, *staging, destination);
    staging->commit();
    return;
  }
  auto record = write_checkpoint(conversion, source, folder, world);
  if (!staging) return;
  write_small(conversion, folder);
  conversion.check_source();
  io::publish(*staging, conversion.head, {std::move(*record)}, nullptr);
}

}  // namespace caravan::jobs
