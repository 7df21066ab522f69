#include "io/convert/pth_archive.hpp"

#include <filesystem>
#include <utility>

#include "io/meta/pickle_writer.hpp"

namespace caravan::io {

PthArchive pth_archive(std::string name, std::vector<MadeTensor> tensors) {
  std::vector<TensorToPickle> pickled;
  for (const MadeTensor& tensor : tensors) pickled.push_back({tensor.name, tensor.dtype, tensor.stored});
  const std::string folder = std::filesystem::path(name).stem().string() + "/";
  PthArchive archive;
  std::vector<ZipMember> members;
  const auto add = [&](const std::string& member, std::uint64_t bytes, std::string content) {
    members.push_back({folder + member, bytes, 0, 0});
    archive.contents.push_back(std::move(content));
  };
  const std::string pickle = pickle_of(pickled);
  add("data.pkl", pickle.size(), pickle);
  add("byteorder", 6, "little");
  for (std::size_t i = 0; i < tensors.size(); ++i) add("data/" + std::to_string(i), tensors[i].bytes(), "");
  add("version", 2, "3\n");
  archive.layout = lay_out_zip(std::move(members));
  archive.file = {std::move(name), archive.layout.bytes, {}, {}};
  auto next = tensors.begin();
  for (std::size_t i = 0; i < archive.contents.size(); ++i) {
    const std::uint64_t begin = archive.layout.members[i].begin;
    if (archive.contents[i].empty())
      archive.file.tensors.push_back({std::move(*next++), begin});
    else
      archive.file.texts.push_back({begin, archive.contents[i]});
  }
  return archive;
}

std::vector<FlatFile::Text> headers_of(const PthArchive& archive, std::span<const std::uint32_t> crcs) {
  std::vector<FlatFile::Text> texts;
  std::vector<std::uint32_t> all;
  std::size_t tensor = 0;
  for (std::size_t i = 0; i < archive.contents.size(); ++i) {
    const std::string& content = archive.contents[i];
    all.push_back(content.empty() ? crcs[tensor++] : crc32_of(content));
    const ZipMember& member = archive.layout.members[i];
    texts.push_back({member.header, zip_header(member, all.back())});
  }
  texts.push_back({archive.layout.directory, zip_directory(archive.layout, all)});
  return texts;
}

std::vector<std::uint32_t> crcs_of_tensors(const PthArchive& archive, std::size_t index,
                                           std::span<const FlatBlock> blocks,
                                           std::span<const std::uint32_t> crcs) {
  std::vector<std::uint32_t> of_tensors(archive.file.tensors.size(), crc32_of(""));
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].file != index) continue;
    std::uint32_t& crc = of_tensors[blocks[i].tensor];
    crc = crc32_of_both(crc, crcs[i], blocks[i].bytes);
  }
  return of_tensors;
}

}  // namespace caravan::io
