#include "io/convert/files_to_fill.hpp"

#include <filesystem>
#include <utility>

namespace caravan::io {

FilesToFill::FilesToFill(const std::string& folder, std::span<const FlatFile> files,
                         std::span<const FlatBlock> blocks)
    : folder_(folder), files_(files), filling_(files.size()) {
  for (const FlatBlock& block : blocks) ++filling_[block.file].missing;
}

DirectFile& FilesToFill::open(std::size_t file) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<DirectFile>& open = filling_[file].file;
  if (!open)
    open = std::make_unique<DirectFile>((std::filesystem::path(folder_) / files_[file].name).string());
  return *open;
}

std::unique_ptr<DirectFile> FilesToFill::count_block(std::size_t file) {
  const std::lock_guard lock(mutex_);
  Filling& filling = filling_[file];
  return --filling.missing == 0 ? std::move(filling.file) : nullptr;
}

void FilesToFill::write(const FlatBlock& block, std::span<const std::byte> bytes) {
  open(block.file).write_at(block.offset, bytes);
  if (const auto full = count_block(block.file)) full->sync();
}

}  // namespace caravan::io
