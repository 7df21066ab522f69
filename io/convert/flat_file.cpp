#include "io/convert/flat_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "caravan/check.hpp"
#include "io/convert/block_rooms.hpp"
#include "io/convert/files_to_fill.hpp"
#include "io/files/file.hpp"
#include "io/files/on_threads.hpp"
#include "io/safetensors/layout.hpp"

namespace caravan::io {
namespace {

std::string path_in(const std::string& folder, const FlatFile& file) {
  return (std::filesystem::path(folder) / file.name).string();
}

SafetensorsEntry entry_of(const MadeTensor& tensor) {
  return {tensor.name, tensor.dtype, tensor.stored};
}

void create(const std::string& folder, const FlatFile& flat) {
  const File file(path_in(folder, flat), O_WRONLY | O_CREAT | O_EXCL);
  const int failure = ::posix_fallocate(file.descriptor(), 0, static_cast<off_t>(flat.bytes));
  errno = failure;
  CARAVAN_CHECK(
      failure == 0 || failure == EOPNOTSUPP || failure == EINVAL, IoError,
      fmt::format("{}: {} bytes are needed", system_text("reserve space for", flat.name), flat.bytes));
  for (const FlatFile::Text& text : flat.texts)
    file.write_at(text.offset, std::as_bytes(std::span(text.bytes)));
  file.sync();
}

}  // namespace

FlatFile safetensors_file(std::string name, std::vector<MadeTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const MadeTensor& a, const MadeTensor& b) { return comes_before(entry_of(a), entry_of(b)); });
  std::vector<SafetensorsEntry> entries;
  for (const MadeTensor& tensor : tensors) entries.push_back(entry_of(tensor));
  SafetensorsLayout layout = lay_out(entries, {{"format", "pt"}}, name);
  FlatFile file{std::move(name), layout.bytes, {{0, std::move(layout.front)}}, {}};
  for (std::size_t i = 0; i < tensors.size(); ++i)
    file.tensors.push_back({std::move(tensors[i]), layout.begins[i]});
  return file;
}

std::vector<FlatBlock> blocks_of(std::span<const FlatFile> files) {
  std::vector<FlatBlock> blocks;
  for (std::size_t file = 0; file < files.size(); ++file) {
    for (std::size_t tensor = 0; tensor < files[file].tensors.size(); ++tensor) {
      const FlatFile::Placed& placed = files[file].tensors[tensor];
      std::uint64_t offset = placed.offset;
      for (const Box& block : blocks_of(placed.tensor)) {
        const std::uint64_t bytes = TensorView(nullptr, placed.tensor.dtype, block.extents).bytes();
        blocks.push_back({file, tensor, block, offset, bytes});
        offset += bytes;
      }
    }
  }
  return blocks;
}

void create_files(const std::string& folder, std::span<const FlatFile> files) {
  for (const FlatFile& file : files) create(folder, file);
}

void add_texts(const std::string& folder, const std::string& name, std::span<const FlatFile::Text> texts) {
  const File file((std::filesystem::path(folder) / name).string(), O_WRONLY);
  for (const FlatFile::Text& text : texts) file.write_at(text.offset, std::as_bytes(std::span(text.bytes)));
  file.sync();
}

void fill_files(const std::string& folder, std::span<const FlatFile> files, std::span<const FlatBlock> blocks,
                const WeightSource& source, int threads, const SeeBlock& see) {
  std::vector<std::uint64_t> bytes_of_blocks;
  for (const FlatBlock& block : blocks) bytes_of_blocks.push_back(block.bytes);
  BlockRooms rooms(bytes_of_blocks, threads);
  FilesToFill filling(folder, files, blocks);
  on_threads(blocks.size(), rooms.count(), [&](std::size_t index) {
    const FlatBlock& block = blocks[index];
    const MadeTensor& tensor = files[block.file].tensors[block.tensor].tensor;
    const BlockRooms::Lease room(rooms);
    const auto bytes = room.bytes_for(block.offset, block.bytes);
    make_block(source, tensor, block.block, TensorView(bytes.data(), tensor.dtype, block.block.extents),
               rooms.threads_a_block());
    filling.write(block, bytes);
    see(index, bytes);
  });
}

}  // namespace caravan::io
