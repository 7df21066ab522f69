#include "io/checkpoint/data_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "caravan/check.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/space.hpp"
#include "io/checkpoint/verify.hpp"
#include "io/checkpoint/write_blocks.hpp"
#include "io/hdf5/attribute.hpp"
#include "io/hdf5/dataset.hpp"
#include "io/hdf5/virtual_dataset.hpp"

namespace caravan::io {
namespace {

h5::H5File create(const std::string& folder, const std::string& path, std::uint64_t space) {
  if (space > 0) check_space(folder, space);
  h5::H5File made = h5::H5File::create(path);
  if (space > 0) reserve_blocks(path, space);
  return made;
}

}  // namespace

std::string DatasetNames::of(const Piece& piece) {
  std::vector<Box>& boxes = named_[piece.tensor.name];
  for (const Box& box : boxes)
    CARAVAN_CHECK(box.extents.rank() == piece.box.extents.rank() &&
                      intersection(box, piece.box).extents.count() == 0 && piece.bytes() > 0,
                  IoError, fmt::format("{} of {} is stored twice", to_string(piece.box), piece.tensor.name));
  boxes.push_back(piece.box);
  return boxes.size() == 1 ? piece.tensor.name : fmt::format("{}@{}", piece.tensor.name, boxes.size() - 1);
}

DataFile::DataFile(const std::string& folder, std::string name, std::uint64_t space)
    : folder_(folder),
      path_((std::filesystem::path(folder) / name).string()),
      record_{std::move(name), 0, 0, {}},
      file_(create(folder_, path_, space)),
      raw_(path_) {}

void DataFile::attribute(const std::string& name, const CheckpointValue& value) {
  const auto slash = name.rfind('/');
  h5::write_attribute(file_, slash == 0 ? "/" : name.substr(0, slash), name.substr(slash + 1), value);
}

PieceRecord& DataFile::place(const Piece& piece) {
  check_object_name(piece.tensor.name);
  auto dataset = h5::Dataset::create(file_, names_.of(piece), piece.tensor.dtype, piece.shape());
  record_.pieces.push_back({piece, dataset.file_offset(), {}});
  dataset.close();
  return record_.pieces.back();
}

void DataFile::piece(const Piece& piece, const TensorView& elements) {
  CARAVAN_EXPECT(elements.shape == piece.shape() && elements.dtype == piece.tensor.dtype);
  PieceRecord& record = place(piece);
  record.blocks = write_blocks(raw_, record.offset, elements);
}

void DataFile::virtual_tensor(const TensorRecord& tensor, const std::vector<FileRecord>& files) {
  std::vector<h5::SourceBox> sources;
  for (const FileRecord& file : files) {
    DatasetNames names;
    for (const PieceRecord& record : file.pieces) {
      if (record.piece.tensor.name != tensor.name) continue;
      sources.push_back({file.name, names.of(record.piece), record.piece.box});
    }
  }
  h5::create_virtual_dataset(file_, tensor.name, tensor.dtype, tensor.shape, sources);
}

FileRecord DataFile::finish() {
  file_.finish();
  const File closed(path_, O_RDWR);
  record_.bytes = closed.size();
  CARAVAN_CHECK(::ftruncate(closed.descriptor(), static_cast<off_t>(record_.bytes)) == 0, IoError,
                system_text("cut the spare space of", path_));
  closed.sync();
  record_.structure = structure_digest(folder_, record_);
  return std::move(record_);
}

}  // namespace caravan::io
